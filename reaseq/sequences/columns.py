"""Where the events of many sequences lie: all in the same arrays, each sequence in a block.

A sequence that outgrows its block moves into one an eighth larger, and leaves the old one to the
next sequence of that length. So a user of three events takes the room of three or four, not that of
the longest sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.compiled import compiled
from reaseq.types import Float64s, Int8s, Int32s, Int64s

_NOTHING = -1


class SequenceColumns(NamedTuple):
    """S sequences of at most N events: shared arrays [P] of places, and arrays [S] of sequences.

    Sequence s holds the places from `starts[s]` on, `lengths[s]` of them, oldest first, and may
    grow to `capacities[s]`.
    """

    times_ms: Int64s
    keys: Int64s
    items: Int32s
    types: Int8s
    values: Float64s
    starts: Int64s
    lengths: Int32s
    capacities: Int32s
    revisions: Int64s
    block_sizes: Int32s
    """Ascending; the last is N."""
    free: Int64s
    """The first place that no block ever had; then for each size its first free block, or -1. The
    key at the start of a free block is the start of the next."""


def empty_columns(num_rows: int, max_events: int) -> SequenceColumns:
    """So many empty sequences, each with room for all its events."""
    num_places = num_rows * max_events
    return _columns(num_rows, num_places, np.array([max_events], np.int32))._replace(
        starts=np.arange(num_rows, dtype=np.int64) * max_events,
        capacities=np.full(num_rows, max_events, np.int32),
        free=np.array([num_places, _NOTHING], np.int64),
    )


def growing_columns(max_events: int) -> SequenceColumns:
    """No sequences yet, and no room; see `with_rows` and `with_places`."""
    sizes = [1]
    while sizes[-1] < max_events:
        sizes.append(min(max_events, sizes[-1] + max(1, sizes[-1] // 8)))
    return _columns(0, 0, np.array(sizes, np.int32))


def with_rows(columns: SequenceColumns, num_rows: int) -> SequenceColumns:
    """The same with at least so many sequences, the new ones empty and without a block."""
    have = len(columns.starts)
    if num_rows <= have:
        return columns
    more = max(num_rows - have, have // 2, 64)
    added = {
        name: np.concatenate([of_row := getattr(columns, name), np.zeros(more, of_row.dtype)])
        for name in ("starts", "lengths", "capacities", "revisions")
    }
    return columns._replace(**added)


def with_places(columns: SequenceColumns) -> SequenceColumns:
    """The same with room for at least one more block of any size."""
    used = int(columns.free[0])
    num_places = used + max(used // 2, int(columns.block_sizes[-1]), 1024)
    grown = {}
    for name in ("times_ms", "keys", "items", "types", "values"):
        of_place = getattr(columns, name)
        grown[name] = np.empty(num_places, of_place.dtype)
        grown[name][:used] = of_place[:used]
    return columns._replace(**grown)


def num_bytes(columns: SequenceColumns, num_rows: int) -> int:
    """Memory that so many sequences take, in bytes; what was never written to is not counted."""
    used = int(columns.free[0])
    per_place = sum(column.itemsize for column in columns[:5])
    per_row = sum(column.itemsize for column in columns[5:9])
    return used * per_place + num_rows * per_row


def places_of(columns: SequenceColumns, rows: Int64s) -> Int64s:
    """The places of the events of some sequences, one sequence after the other."""
    lengths = columns.lengths[rows].astype(np.int64)
    ends = np.cumsum(lengths)
    return np.repeat(columns.starts[rows] - (ends - lengths), lengths) + np.arange(lengths.sum())


def _columns(num_rows: int, num_places: int, block_sizes: Int32s) -> SequenceColumns:
    return SequenceColumns(
        times_ms=np.empty(num_places, np.int64),
        keys=np.empty(num_places, np.int64),
        items=np.empty(num_places, np.int32),
        types=np.empty(num_places, np.int8),
        values=np.empty(num_places, np.float64),
        starts=np.zeros(num_rows, np.int64),
        lengths=np.zeros(num_rows, np.int32),
        capacities=np.zeros(num_rows, np.int32),
        revisions=np.zeros(num_rows, np.int64),
        block_sizes=block_sizes,
        free=np.array([0, *[_NOTHING] * len(block_sizes)], np.int64),
    )


@compiled
def copy_event(columns: SequenceColumns, source: int, target: int) -> None:
    """Copy the event at one place to another."""
    columns.times_ms[target] = columns.times_ms[source]
    columns.keys[target] = columns.keys[source]
    columns.items[target] = columns.items[source]
    columns.types[target] = columns.types[source]
    columns.values[target] = columns.values[source]


@compiled
def make_room(columns: SequenceColumns, row: int) -> bool:
    """Let a sequence that fills its block move to a larger one; False when there is none left.

    One of N events needs no more.
    """
    length, capacity = columns.lengths[row], columns.capacities[row]
    if length < capacity or capacity == columns.block_sizes[-1]:
        return True
    kind = 0
    while columns.block_sizes[kind] <= capacity:
        kind += 1
    start = _take_block(columns, kind)
    if start == _NOTHING:
        return False
    for place in range(length):
        copy_event(columns, columns.starts[row] + place, start + place)
    if capacity > 0:
        _give_back(columns, columns.starts[row], kind - 1)
    columns.starts[row] = start
    columns.capacities[row] = columns.block_sizes[kind]
    return True


@compiled
def _take_block(columns: SequenceColumns, kind: int) -> int:
    start = columns.free[1 + kind]
    if start != _NOTHING:
        columns.free[1 + kind] = columns.keys[start]
        return int(start)
    start = columns.free[0]
    if start + columns.block_sizes[kind] > len(columns.keys):
        return _NOTHING
    columns.free[0] += columns.block_sizes[kind]
    return int(start)


@compiled
def _give_back(columns: SequenceColumns, start: int, kind: int) -> None:
    columns.keys[start] = columns.free[1 + kind]
    columns.free[1 + kind] = start
