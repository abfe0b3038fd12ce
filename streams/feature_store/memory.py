"""A feature store in memory: the fake that passes the contract suite of the real one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from reaseq.feature_views import ViewSpec
from streams.feature_store.views import checked

Row = dict[str, Any]


class MemoryFeatures:
    """Online rows by view and key, offline parts by view and name; safe among threads."""

    def __init__(self) -> None:
        self.online: dict[str, dict[str, Row]] = defaultdict(dict)
        self.offline: dict[str, dict[str, pa.Table]] = defaultdict(dict)
        self.num_writes = 0
        self._changing = threading.Lock()

    def read(self, view: ViewSpec, ids: Sequence[str]) -> pa.Table:
        held = self.online[view.name]
        rows = [held[key] for key in dict.fromkeys(ids) if key in held]
        return pa.Table.from_pylist(rows, schema=view.schema)

    def write(self, view: ViewSpec, rows: pa.Table) -> int:
        with self._changing:
            self.num_writes += 1
            return sum(self._accept(view, row) for row in checked(view, rows).to_pylist())

    def append(self, view: ViewSpec, rows: pa.Table, part: str) -> None:
        self.offline[view.name][part] = checked(view, rows)

    def newest(self, view: ViewSpec) -> pa.Table:
        newest: dict[str, Row] = {}
        for rows in self.offline[view.name].values():
            for row in rows.to_pylist():
                held = newest.get(row[view.key])
                if held is None or _version(view, row) >= _version(view, held):
                    newest[row[view.key]] = row
        return pa.Table.from_pylist([newest[key] for key in sorted(newest)], schema=view.schema)

    def keys(self, view: ViewSpec) -> list[str]:
        return [row[view.key] for row in self.newest(view).to_pylist()]

    def _accept(self, view: ViewSpec, row: Row) -> bool:
        held = self.online[view.name].get(row[view.key])
        if held is not None and _version(view, row) < _version(view, held):
            return False
        self.online[view.name][row[view.key]] = row
        return True


def _version(view: ViewSpec, row: Row) -> tuple[int, int]:
    """What orders the versions of a row: event time, then revision."""
    return row[view.time], row[view.revision] if view.revision else 0
