"""A feature store in memory: the fake that passes the contract suite of the real one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from reaseq.feature_views import ViewSpec
from streams.feature_store.views import checked, rows_known
from streams.offline.tables import Commit

Row = dict[str, Any]


class MemoryFeatures:
    """Online rows by view and key, offline versions by view; safe among threads."""

    def __init__(self) -> None:
        self.online: dict[str, dict[str, Row]] = defaultdict(dict)
        self.offline: dict[str, list[Row]] = defaultdict(list)
        self.num_writes = 0
        self.num_refused = 0
        self.num_syncs = 0
        self.num_writes_synced = 0
        self._commits: dict[tuple[str, str], int] = {}
        self._changing = threading.Lock()

    def read(self, view: ViewSpec, ids: Sequence[str]) -> pa.Table:
        held = self.online[view.name]
        rows = [held[key] for key in dict.fromkeys(ids) if key in held]
        return pa.Table.from_pylist(rows, schema=view.schema)

    def known(self, view: ViewSpec, ids: Sequence[str]) -> list[str]:
        held = self.online[view.name]
        return [key for key in dict.fromkeys(ids) if key in held]

    def write(self, view: ViewSpec, rows: pa.Table) -> int:
        with self._changing:
            self.num_writes += 1
            return sum(self._accept(view, row) for row in checked(view, rows).to_pylist())

    def delete(self, view: ViewSpec, ids: Sequence[str], until_ms: int) -> int:
        with self._changing:
            held = self.online[view.name]
            gone = [key for key in set(ids) if key in held and held[key][view.time] <= until_ms]
            for key in gone:
                del held[key]
        return len(gone)

    def sync(self) -> None:
        self.num_syncs += 1
        self.num_writes_synced = self.num_writes

    def append(self, view: ViewSpec, rows: pa.Table, commit: Commit) -> None:
        assert not view.is_computed, f"{view.name} follows from the events"
        rows = checked(view, rows)
        with self._changing:
            done = self._commits.get((view.name, commit.app_id))
            if rows.num_rows and (done is None or done < commit.version):
                self._commits[view.name, commit.app_id] = commit.version
                self.offline[view.name] += rows.to_pylist()

    def newest(self, view: ViewSpec) -> pa.Table:
        newest: dict[str, Row] = {}
        for row in self.offline[view.name]:
            held = newest.get(row[view.key])
            if held is None or _version(view, row) >= _version(view, held):
                newest[row[view.key]] = row
        return pa.Table.from_pylist([newest[key] for key in sorted(newest)], schema=view.schema)

    def keys(self, view: ViewSpec) -> list[str]:
        return sorted({row[view.key] for row in self.offline[view.name]})

    def rows_before(self, view: ViewSpec, labels: pa.Table) -> pa.Table:
        found = [self._before(view, row) for row in labels.to_pylist()]
        fields = [field.with_nullable(True) for field in view.schema]
        return rows_known(view, labels, pa.Table.from_pylist(found, pa.schema(fields)))

    def _before(self, view: ViewSpec, label: Row) -> Row:
        versions = [
            row
            for row in self.offline[view.name]
            if row[view.key] == label[view.key] and row[view.time] < label["label_time_ms"]
        ]
        # Of equal versions the last appended: `max` keeps the first it meets.
        return max(reversed(versions), key=lambda row: _version(view, row), default={})

    def _accept(self, view: ViewSpec, row: Row) -> bool:
        held = self.online[view.name].get(row[view.key])
        if held is not None and _version(view, row) < _version(view, held):
            self.num_refused += 1
            return False
        self.online[view.name][row[view.key]] = row
        return True


def _version(view: ViewSpec, row: Row) -> tuple[int, int]:
    """What orders the versions of a row: event time, then revision."""
    return row[view.time], row[view.revision] if view.revision else 0
