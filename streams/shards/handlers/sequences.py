"""Events into user sequences: merge in memory, write changed users to the features.

A user whom the state does not hold is looked up in the online store first: so a backfill, a lost
checkpoint and a user whom memory had no room for are all one case.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

import numpy as np
import pyarrow as pa

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.rows import aligned, empty_sequences, rows_after
from reaseq.sequences.state import SequenceState
from reaseq.types import Int64s
from streams.erasure.erased_users import NOBODY, ErasedUsers
from streams.feature_store.ports import FeatureTables
from streams.log.ports import Partition
from streams.offline.events import ARCHIVED_SCHEMA, arrived
from streams.offline.tables import Commit
from streams.shards.handlers.port import Arrivals
from streams.shards.state_files import without_users
from streams.shards.write_ahead_log import WriteAheadLog


class EventSink(Protocol):
    """Where the events themselves are kept, `streams.offline.events` in production."""

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Add events (ARCHIVED_SCHEMA); a commit that was made before adds nothing."""


class SequenceHandler:
    """Keeps the sequences of a shard's partitions."""

    name = "sequences"

    def __init__(
        self,
        store: FeatureTables,
        archive: EventSink,
        wal: WriteAheadLog,
        max_events: int,
        max_users: int,
        erased: ErasedUsers = NOBODY,
    ) -> None:
        """`max_users` of each partition stay in memory after a checkpoint or a restart."""
        self._erased = erased
        self._store = store
        self._archive = archive
        self._wal = wal
        self._max_events = max_events
        self._max_users = max_users
        self._states: dict[Partition, SequenceState] = {}
        self._unwritten: dict[Partition, list[Int64s]] = defaultdict(list)
        self._unsaved: dict[Partition, list[Int64s]] = defaultdict(list)
        self._events: dict[Partition, list[pa.Table]] = defaultdict(list)
        self._forgotten: dict[Partition, Int64s] = {}

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        state = SequenceState(self._max_events)
        if rows is not None:
            state.load(rows.slice(max(0, rows.num_rows - self._max_users)))
        self._states[partition] = state

    def apply(self, arrivals: Arrivals) -> int:
        state = self._states[arrivals.partition]
        newcomers = state.unknown(arrivals.table["user_id"])
        if newcomers:
            rows = self._stored(newcomers)
            self._wal.append_wal(arrivals.partition, self.name, rows)
            self._unsaved[arrivals.partition].append(state.load(rows))
        merged = state.merge(arrivals.table)
        self._unwritten[arrivals.partition].append(merged.slots)
        self._unsaved[arrivals.partition].append(merged.slots)
        self._events[arrivals.partition].append(
            arrived(arrivals.table, arrivals.partition.number, arrivals.epoch, arrivals.offsets)
        )
        return merged.num_accepted

    def _stored(self, users: list[str]) -> pa.Table:
        """What the store holds of users from after they were erased, if they were."""
        known = self._store.known(SEQUENCES, users)
        if not known:
            return empty_sequences(users)
        stored = self._store.read(SEQUENCES, known)
        return aligned(rows_after(stored, self._erased.until_ms(stored["user_id"])), users)

    def write(self) -> None:
        changed = [
            self._states[partition].rows(np.unique(np.concatenate(slots)))
            for partition, slots in self._unwritten.items()
        ]
        self._unwritten.clear()
        rows = pa.concat_tables([SEQUENCE_SCHEMA.empty_table(), *changed])
        if rows.num_rows:
            self._store.write(SEQUENCES, rows)

    def forget(self, partition: Partition, user_hashes: Int64s) -> None:
        self._forgotten[partition] = user_hashes

    def checkpoint(self, partition: Partition, commit: Commit) -> pa.Table:
        new = [ARCHIVED_SCHEMA.empty_table(), *self._events.pop(partition, [])]
        self._archive.append(pa.concat_tables(new), commit)
        self._store.sync()
        state = before = self._states[partition]
        touched = [np.empty(0, np.int64), *self._unsaved.pop(partition, [])]
        rows = state.rows(state.in_order_of_use(np.concatenate(touched)))
        if (forgotten := self._forgotten.pop(partition, None)) is not None:
            rows = without_users(rows, forgotten)
            state = state.without(forgotten)
        state = self._states[partition] = self._bounded(state)
        assert state is before or partition not in self._unwritten, "lost is what is not written"
        return rows

    def _bounded(self, state: SequenceState) -> SequenceState:
        """The same, or a smaller one: of fewer users, or without the names that nothing needs."""
        if len(state) > self._max_users:
            # Fewer than fit, or the next newcomer would make all the others move again.
            return state.with_most_recent(max(1, 3 * self._max_users // 4))
        return state.with_most_recent(len(state)) if state.is_wasteful else state
