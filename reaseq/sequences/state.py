"""The sequences of many users in memory, as columns, with the merge as their only way to change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.codes import Codes, longer
from reaseq.sequences.columns import (
    SequenceColumns,
    growing_columns,
    num_bytes,
    places_of,
    with_places,
    with_rows,
)
from reaseq.sequences.hashing import hash64
from reaseq.sequences.merge import EventColumns, merge_events
from reaseq.types import Column, Float64s, Int64s

EVENT_TYPE_NAMES = pa.array([event_type.value for event_type in EventType])
"""The code of an event type is its place here."""

ROWS_AT_ONCE = 8192
"""Sequences of one piece of a table: an Arrow column holds 2 GiB of strings at most."""

FEW_NAMES = 10_000
"""Names of items that may be held for nothing, whatever there is."""


class MergeResult(NamedTuple):
    """What a merge did."""

    slots: Int64s
    """Where the sequences are that it changed; `SequenceState.rows` gives them."""
    num_accepted: int


class SequenceState:
    """User sequences of one partition.

    Every operation keeps the invariant of `reaseq.sequences.merge`: each sequence holds the newest
    `max_events` distinct events its user ever had, ordered by (event time, event key).
    """

    def __init__(self, max_events: int = 100) -> None:
        """`max_events` is N, the longest sequence kept."""
        if max_events < 1:
            raise ValueError("max_events must be at least 1")
        self.max_events = max_events
        self._users = Codes()
        self._items = Codes()
        self._columns = growing_columns(max_events)
        self._used_at = np.empty(0, np.int64)
        self._num_uses = 0

    @classmethod
    def from_rows(cls, rows: pa.Table, max_events: int = 100) -> SequenceState:
        """Rebuild a state from rows of SEQUENCE_SCHEMA (a checkpoint, or the online store)."""
        state = cls(max_events)
        state.load(rows)
        return state

    def __len__(self) -> int:
        return len(self._users)

    @property
    def num_events(self) -> int:
        """Events in all sequences."""
        return int(self._columns.lengths.sum())

    @property
    def num_bytes(self) -> int:
        """Memory that the sequences and the names in them take, in bytes."""
        names = self._users.num_bytes + self._items.num_bytes
        return num_bytes(self._columns, len(self)) + 8 * len(self) + names

    @property
    def is_wasteful(self) -> bool:
        """Whether most of the item names held are of no event any more; a new state has none."""
        return len(self._items) > 2 * self.num_events + FEW_NAMES

    def unknown(self, user_ids: Column) -> list[str]:
        """The users of a column that this state has never met, each once."""
        users = pc.unique(user_ids)
        never_met: list[str] = users.filter(pa.array(self._users.find(users) < 0)).to_pylist()
        return never_met

    def load(self, rows: pa.Table) -> Int64s:
        """Take in whole sequences of users this state does not hold yet, revisions included.

        Returns their slots. They count as used now, one after the other.
        """
        first = len(self)
        for start in range(0, rows.num_rows, ROWS_AT_ONCE):
            some = rows.slice(start, ROWS_AT_ONCE)
            slots = self._users.encode(some["user_id"])
            self._columns = with_rows(self._columns, len(self))
            lengths = np.asarray(pc.list_value_length(some["item_ids"])).astype(np.int64)
            if lengths.any():
                self._merge_columns(_flatten(some, np.repeat(slots, lengths), self._items))
            self._columns.revisions[slots] = np.asarray(some["revision"])
        assert len(self) - first == rows.num_rows, "load takes new users"
        loaded = np.arange(first, len(self), dtype=np.int64)
        self._use(loaded, self._num_uses + 1 + np.arange(len(loaded)))
        return loaded

    def merge(self, events: pa.Table) -> MergeResult:
        """Merge events (EVENT_SCHEMA); in whatever order they come, the sequences are the same."""
        slots = self._users.encode(events["user_id"])
        self._use(slots, self._num_uses + 1)
        return self._merge_columns(event_columns(events, slots, self._items))

    def in_order_of_use(self, slots: Int64s | None = None) -> Int64s:
        """These slots, or all, each once, those that were used last at the end."""
        slots = np.arange(len(self), dtype=np.int64) if slots is None else np.unique(slots)
        return slots[np.argsort(self._used_at[slots], kind="stable")]

    def with_most_recent(self, num_users: int) -> SequenceState:
        """A new state of the users that were used last; nothing in it knows of the others."""
        kept = SequenceState(self.max_events)
        kept.load(self.rows(self.in_order_of_use()[-num_users:]))
        return kept

    def without(self, user_hashes: Int64s) -> SequenceState:
        """A state that knows nothing of the users with these ids (`hash64`); itself if it did not.

        Slots of the other users may be others in it.
        """
        is_gone = np.isin(self._users.hashes(), user_hashes)
        if not is_gone.any():
            return self
        in_order = self.in_order_of_use()
        kept = SequenceState(self.max_events)
        kept.load(self.rows(in_order[~is_gone[in_order]]))
        return kept

    def rows(self, slots: Int64s | None = None) -> pa.Table:
        """The sequences in these slots, or all, as rows of SEQUENCE_SCHEMA."""
        slots = np.arange(len(self), dtype=np.int64) if slots is None else slots
        pieces = [SEQUENCE_SCHEMA.empty_table()]
        for start in range(0, len(slots), ROWS_AT_ONCE):
            some = slots[start : start + ROWS_AT_ONCE]
            pieces.append(sequence_rows(self._columns, some, self._users.take(some), self._items))
        return pa.concat_tables(pieces)

    def rows_of(self, user_ids: list[str]) -> pa.Table:
        """The sequences of users this state holds, in the order asked for (SEQUENCE_SCHEMA)."""
        slots = self._users.find(pa.array(user_ids, pa.string()))
        assert (slots >= 0).all(), "rows_of takes users the state holds"
        return self.rows(slots)

    def _use(self, slots: Int64s, times: Int64s | int) -> None:
        if len(self) > len(self._used_at):
            used = len(self._used_at)
            self._used_at = longer(self._used_at, used, len(self) + len(self) // 2)
        self._used_at[slots] = times
        self._num_uses = int(np.max(times, initial=self._num_uses))

    def _merge_columns(self, events: EventColumns) -> MergeResult:
        self._columns = with_rows(self._columns, len(self))
        changed = np.zeros(len(self), dtype=np.bool_)
        num_accepted = event = 0
        while True:
            accepted, event = merge_events(
                events, event, self._columns, self._items.hashes(), changed
            )
            num_accepted += accepted
            if event == len(events.slots):
                return MergeResult(np.flatnonzero(changed), num_accepted)
            self._columns = with_places(self._columns)


def event_columns(events: pa.Table, slots: Int64s, items: Codes) -> EventColumns:
    """Events (EVENT_SCHEMA) as the columns of a merge; `slots` says whose each is."""
    return EventColumns(
        slots=slots,
        times_ms=_int64s(events["event_time_ms"]),
        keys=hash64(events["event_id"]),
        items=items.encode(events["item_id"]),
        types=_type_codes(events["event_type"]),
        values=_floats(events["value"]),
    )


def sequence_rows(
    columns: SequenceColumns, rows: Int64s, user_ids: pa.Array, items: Codes
) -> pa.Table:
    """Some of the sequences, each with its user, as rows of SEQUENCE_SCHEMA."""
    lengths = columns.lengths[rows].astype(np.int64)
    places = places_of(columns, rows)
    ends = np.cumsum(lengths)
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    times_ms = columns.times_ms[places]
    lists = [
        items.take(columns.items[places]),
        EVENT_TYPE_NAMES.take(pa.array(columns.types[places])),
        pa.array(times_ms),
        pa.array(columns.values[places]),
        pa.array(columns.keys[places]),
    ]
    newest_ms = np.zeros(len(rows), np.int64)
    newest_ms[lengths > 0] = times_ms[ends[lengths > 0] - 1]
    return pa.Table.from_arrays(
        [
            user_ids,
            *(pa.ListArray.from_arrays(offsets, of_all) for of_all in lists),
            pa.array(newest_ms),
            pa.array(columns.revisions[rows]),
        ],
        schema=SEQUENCE_SCHEMA,
    )


def _int64s(column: pa.ChunkedArray) -> Int64s:
    return np.asarray(column.combine_chunks()).astype(np.int64, copy=False)


def _floats(column: pa.ChunkedArray) -> Float64s:
    return np.asarray(column.combine_chunks().fill_null(np.nan)).astype(np.float64, copy=False)


def _type_codes(column: pa.ChunkedArray | pa.Array) -> Int64s:
    codes = pc.index_in(column, value_set=EVENT_TYPE_NAMES)
    array = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    assert array.null_count == 0, "unknown event types are refused by the codec"
    return np.asarray(array).astype(np.int64)


def _flatten(rows: pa.Table, slots: Int64s, items: Codes) -> EventColumns:
    """The events inside sequence rows, as the columns of a merge."""
    flat = {
        name: pc.list_flatten(rows[name].combine_chunks())
        for name in ("item_ids", "event_types", "event_times_ms", "event_values", "event_keys")
    }
    return EventColumns(
        slots=slots,
        times_ms=np.asarray(flat["event_times_ms"]).astype(np.int64),
        keys=np.asarray(flat["event_keys"]).astype(np.int64),
        items=items.encode(flat["item_ids"]),
        types=_type_codes(flat["event_types"]),
        values=np.asarray(flat["event_values"].fill_null(np.nan)).astype(np.float64),
    )
