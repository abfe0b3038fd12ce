"""Events into user sequences: merge in memory, write changed users to the features.

A user the state does not hold is looked up in the online store first: that is how a backfill, a
restart with other shards and a user who comes back are all one case.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.rows import aligned
from reaseq.sequences.state import SequenceState
from streams.feature_store.ports import FeatureTables
from streams.log.ports import Partition
from streams.offline.tables import Commit


class EventArchive(Protocol):
    """Where the events themselves are kept, `streams.offline.events` in production."""

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Add events; a commit that was made before adds nothing."""


class Journal(Protocol):
    """Where state is kept that a crash must not lose; `streams.shards.checkpoints`."""

    def note(self, partition: Partition, rows: pa.Table) -> None:
        """Keep rows until the next checkpoint of the partition."""


class SequenceHandler:
    """Keeps the sequences of a shard's partitions; the plain object inside a Ray Data actor."""

    def __init__(
        self, store: FeatureTables, archive: EventArchive, journal: Journal, max_events: int
    ) -> None:
        self._store = store
        self._archive = archive
        self._journal = journal
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
            self._journal.note(partition, rows)
            state.load(rows)
        merged = state.merge(table, keep_history=True)
        self._changed.append(merged.changed)
        self._versions[partition] += [merged.history, merged.changed]
        self._events[partition].append(table)
        return merged.num_accepted

    def write(self) -> None:
        rows = pa.concat_tables(self._changed, promote_options="none")
        self._changed = []
        if rows.num_rows:
            self._store.write(SEQUENCES, rows)

    def checkpoint(self, partition: Partition, commit: Commit) -> pa.Table:
        self._store.append(SEQUENCES, _concat(self._versions.pop(partition, [])), commit)
        self._archive.append(pa.concat_tables(self._events.pop(partition, [])), commit)
        return self._states[partition].rows()


def _first_of_each_user(rows: pa.Table) -> pa.Table:
    """A note outlives its checkpoint when a crash falls between the two: the state goes first."""
    users = rows["user_id"].to_pylist()
    first = {user_id: place for place, user_id in reversed(list(enumerate(users)))}
    return rows.take(sorted(first.values()))


def _concat(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([SEQUENCE_SCHEMA.empty_table(), *tables])
