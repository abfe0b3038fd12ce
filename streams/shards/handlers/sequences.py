"""Events into user sequences: merge in memory, write changed users to the features.

A user whom the state does not hold is looked up in the online store first: so a backfill, a lost
checkpoint and a user who comes back are all one case.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import aligned
from reaseq.sequences.state import SequenceState
from streams.feature_store.ports import FeatureTables
from streams.log.ports import Partition
from streams.offline.tables import Commit
from streams.shards.write_ahead_log import WriteAheadLog


class EventSink(Protocol):
    """Where the events themselves are kept, `streams.offline.events` in production."""

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Add events; a commit that was made before adds nothing."""


class SequenceHandler:
    """Keeps the sequences of a shard's partitions."""

    name = "sequences"

    def __init__(
        self, store: FeatureTables, archive: EventSink, wal: WriteAheadLog, max_events: int
    ) -> None:
        self._store = store
        self._archive = archive
        self._wal = wal
        self._max_events = max_events
        self._states: dict[Partition, SequenceState] = {}
        self._changed: list[pa.Table] = []
        self._versions: dict[Partition, list[pa.Table]] = defaultdict(list)
        self._events: dict[Partition, list[pa.Table]] = defaultdict(list)

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        state = SequenceState(self._max_events)
        if rows is not None:
            state.load(_first_of_each_user(rows))
        self._states[partition] = state

    def apply(self, partition: Partition, table: pa.Table) -> int:
        state = self._states[partition]
        newcomers = state.unknown(pc.unique(table["user_id"]).to_pylist())
        if newcomers:
            rows = aligned(self._store.read(SEQUENCES, newcomers), newcomers)
            self._wal.append_wal(partition, self.name, rows)
            state.load(rows)
        merged = state.merge(table, keep_history=True)
        self._changed.append(merged.changed)
        self._versions[partition] += [merged.history, merged.changed]
        self._events[partition].append(table)
        return merged.num_accepted

    def write(self) -> None:
        rows = _concat(SEQUENCE_SCHEMA, self._changed)
        self._changed = []
        if rows.num_rows:
            self._store.write(SEQUENCES, rows)

    def checkpoint(self, partition: Partition, commit: Commit) -> pa.Table:
        versions = _concat(SEQUENCE_SCHEMA, self._versions.pop(partition, []))
        events = _concat(EVENT_SCHEMA, self._events.pop(partition, []))
        self._store.append(SEQUENCES, versions, commit)
        self._archive.append(events, commit)
        return self._states[partition].rows()


def _first_of_each_user(rows: pa.Table) -> pa.Table:
    """The checkpoint's row goes before a logged one; a shard believed dead may log a user again."""
    users = rows["user_id"].to_pylist()
    first = {user_id: row for row, user_id in reversed(list(enumerate(users)))}
    return rows.take(pa.array(sorted(first.values()), pa.int64()))


def _concat(schema: pa.Schema, tables: list[pa.Table]) -> pa.Table:
    """One table, also of none: a position can move without anything applied."""
    return pa.concat_tables([schema.empty_table(), *tables])
