"""The sequences of many users in memory, as columns, with the merge as their only way to change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.hashing import hash64
from reaseq.sequences.merge import (
    EventColumns,
    SequenceColumns,
    merge_events,
)
from reaseq.types import Float64s, Int64s

EVENT_TYPE_NAMES = pa.array([event_type.value for event_type in EventType])
"""The code of an event type is its place here; append only, codes live inside checkpoints."""


class MergeResult(NamedTuple):
    """What a merge did."""

    slots: Int64s
    """Where the sequences are that it changed; `SequenceState.rows` gives them."""
    num_accepted: int


class Codes:
    """Dense codes 0, 1, 2 … for strings, in order of first sight."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._hashes = np.empty(0, np.int64)
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._code_of

    def encode(self, column: pa.ChunkedArray | pa.Array) -> Int64s:
        """Codes of a column; only its distinct values are touched one by one."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        encoded = array.dictionary_encode()
        distinct = np.fromiter(
            (self._code(name) for name in encoded.dictionary.to_pylist()),
            dtype=np.int64,
            count=len(encoded.dictionary),
        )
        indices = np.asarray(encoded.indices)
        return distinct[indices] if len(distinct) else np.empty(0, dtype=np.int64)

    def hashes(self) -> Int64s:
        """`hash64` of each string, by code."""
        new = self.names[len(self._hashes) :]
        if new:
            self._hashes = np.concatenate([self._hashes, hash64(pa.array(new, pa.string()))])
        return self._hashes

    def _code(self, name: str) -> int:
        code = self._code_of.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code


def empty_columns(num_rows: int, max_events: int) -> SequenceColumns:
    """Room for so many sequences, all empty."""
    shape = (num_rows, max_events)
    return SequenceColumns(
        times_ms=np.zeros(shape, dtype=np.int64),
        keys=np.zeros(shape, dtype=np.int64),
        items=np.zeros(shape, dtype=np.int64),
        types=np.zeros(shape, dtype=np.int64),
        values=np.full(shape, np.nan, dtype=np.float64),
        lengths=np.zeros(num_rows, dtype=np.int64),
        revisions=np.zeros(num_rows, dtype=np.int64),
    )


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
        self._columns = empty_columns(0, max_events)

    @classmethod
    def from_rows(cls, rows: pa.Table, max_events: int = 100) -> SequenceState:
        """Rebuild a state from rows of SEQUENCE_SCHEMA (a checkpoint, or the online store)."""
        state = cls(max_events)
        state.load(rows)
        return state

    def __len__(self) -> int:
        return len(self._users)

    def unknown(self, user_ids: Iterable[str]) -> list[str]:
        """The given users this state has never met."""
        return [user_id for user_id in user_ids if user_id not in self._users]

    def load(self, rows: pa.Table) -> None:
        """Take in whole sequences of users this state does not hold yet, revisions included."""
        assert len(self.unknown(rows["user_id"].to_pylist())) == rows.num_rows, (
            "load takes new users"
        )
        slots = self._users.encode(rows["user_id"])
        self._reserve(len(self._users))
        lengths = np.asarray(pc.list_value_length(rows["item_ids"])).astype(np.int64)
        self._merge_columns(_flatten(rows, np.repeat(slots, lengths), self._items))
        self._columns.revisions[slots] = np.asarray(rows["revision"])

    def merge(self, events: pa.Table) -> MergeResult:
        """Merge events (EVENT_SCHEMA); in whatever order they come, the sequences are the same."""
        columns = event_columns(events, self._users.encode(events["user_id"]), self._items)
        self._reserve(len(self._users))
        return self._merge_columns(columns)

    def rows(self, slots: Int64s | None = None) -> pa.Table:
        """The sequences in these slots, or all, as rows of SEQUENCE_SCHEMA."""
        places = np.arange(len(self), dtype=np.int64) if slots is None else slots
        user_ids = _take(self._users.names, places)
        return sequence_rows(self._columns, places, user_ids, self._items)

    def rows_of(self, user_ids: list[str]) -> pa.Table:
        """The sequences of users this state holds, in the order asked for (SEQUENCE_SCHEMA)."""
        assert not self.unknown(user_ids), "rows_of takes users the state holds"
        return self.rows(self._users.encode(pa.array(user_ids, pa.string())))

    def _merge_columns(self, columns: EventColumns) -> MergeResult:
        changed = np.zeros(len(self._columns.lengths), dtype=np.bool_)
        accepted = merge_events(columns, self._columns, self._items.hashes(), changed)
        return MergeResult(np.flatnonzero(changed), accepted)

    def _reserve(self, num_users: int) -> None:
        """Grow the arrays, at least doubling, so that every user has a slot."""
        have = len(self._columns.lengths)
        if num_users <= have:
            return
        more = empty_columns(max(num_users - have, have, 64), self.max_events)
        self._columns = SequenceColumns(
            *(np.concatenate(pair) for pair in zip(self._columns, more, strict=True))
        )


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
    columns: SequenceColumns, places: Int64s, user_ids: pa.Array, items: Codes
) -> pa.Table:
    """The sequences at some places, each with its user, as rows of SEQUENCE_SCHEMA."""
    lengths = columns.lengths[places]
    held = np.arange(columns.keys.shape[1]) < lengths[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    last = np.maximum(lengths - 1, 0)
    lists = [
        _take(items.names, columns.items[places][held]),
        EVENT_TYPE_NAMES.take(pa.array(columns.types[places][held])),
        pa.array(columns.times_ms[places][held]),
        pa.array(columns.values[places][held]),
        pa.array(columns.keys[places][held]),
    ]
    newest_ms = np.where(lengths > 0, columns.times_ms[places, last], 0)
    return pa.Table.from_arrays(
        [
            user_ids,
            *(pa.ListArray.from_arrays(offsets, of_all) for of_all in lists),
            pa.array(newest_ms),
            pa.array(columns.revisions[places]),
        ],
        schema=SEQUENCE_SCHEMA,
    )


def _take(names: list[str], codes: Int64s) -> pa.Array:
    """Strings for codes, building only those that occur."""
    distinct, inverse = np.unique(codes, return_inverse=True)
    present = pa.array([names[code] for code in distinct.tolist()], type=pa.string())
    return present.take(pa.array(inverse))


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
