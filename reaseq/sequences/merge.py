"""The one operation on user sequences: union, then keep the newest N.

Order of events in a sequence: by (event time, event key), oldest first. Identity: the event key.
When one key arrives with two contents, the greater of (event time, item hash, event type, value
bits) stays, whichever came first. Both rules are maxima over a total order, so the merge is
idempotent, commutative and associative: duplicates, late events, replays and crashes cannot corrupt
a sequence.

The loops here are compiled and walk columns; `reaseq.sequences.state` gives them their arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.compiled import compiled
from reaseq.types import Bools, Float64s, Int64s


class EventColumns(NamedTuple):
    """E events as columns, in the order they arrived; `slots` says whose each is."""

    slots: Int64s
    times_ms: Int64s
    keys: Int64s
    items: Int64s
    types: Int64s
    values: Float64s


class SequenceColumns(NamedTuple):
    """S sequences of at most N events as arrays [S, N]; `lengths` and `revisions` are [S]."""

    times_ms: Int64s
    keys: Int64s
    items: Int64s
    types: Int64s
    values: Float64s
    lengths: Int64s
    revisions: Int64s


@compiled
def _is_newer_content(
    events: EventColumns,
    event: int,
    state: SequenceColumns,
    slot: int,
    place: int,
    item_hashes: Int64s,
) -> bool:
    """Compare two contents of one event key by (time, item hash, type, value bits)."""
    if events.times_ms[event] != state.times_ms[slot, place]:
        return bool(events.times_ms[event] > state.times_ms[slot, place])
    new_item = item_hashes[events.items[event]]
    old_item = item_hashes[state.items[slot, place]]
    if new_item != old_item:
        return bool(new_item > old_item)
    if events.types[event] != state.types[slot, place]:
        return bool(events.types[event] > state.types[slot, place])
    new_bits = events.values[event : event + 1].view(np.int64)[0]
    old_bits = state.values[slot, place : place + 1].view(np.int64)[0]
    return bool(new_bits > old_bits)


@compiled
def _copy_event(state: SequenceColumns, slot: int, source: int, target: int) -> None:
    state.times_ms[slot, target] = state.times_ms[slot, source]
    state.keys[slot, target] = state.keys[slot, source]
    state.items[slot, target] = state.items[slot, source]
    state.types[slot, target] = state.types[slot, source]
    state.values[slot, target] = state.values[slot, source]


@compiled
def _remove(state: SequenceColumns, slot: int, place: int) -> None:
    for target in range(place, state.lengths[slot] - 1):
        _copy_event(state, slot, target + 1, target)
    state.lengths[slot] -= 1


@compiled
def _find(state: SequenceColumns, slot: int, key: int) -> int:
    for place in range(state.lengths[slot] - 1, -1, -1):
        if state.keys[slot, place] == key:
            return int(place)
    return -1


@compiled
def _insert(events: EventColumns, event: int, state: SequenceColumns, slot: int) -> bool:
    """Put one event at its place from the newest end; False when it is older than a full window."""
    capacity = state.times_ms.shape[1]
    time_ms, key = events.times_ms[event], events.keys[event]
    place = state.lengths[slot]
    while place > 0 and (
        state.times_ms[slot, place - 1] > time_ms
        or (state.times_ms[slot, place - 1] == time_ms and state.keys[slot, place - 1] > key)
    ):
        place -= 1
    if state.lengths[slot] == capacity:
        if place == 0:
            return False
        for target in range(place - 1):
            _copy_event(state, slot, target + 1, target)
        place -= 1
    else:
        for target in range(state.lengths[slot], place, -1):
            _copy_event(state, slot, target - 1, target)
        state.lengths[slot] += 1
    state.times_ms[slot, place] = time_ms
    state.keys[slot, place] = key
    state.items[slot, place] = events.items[event]
    state.types[slot, place] = events.types[event]
    state.values[slot, place] = events.values[event]
    return True


@compiled
def _merge_event(
    events: EventColumns, event: int, state: SequenceColumns, item_hashes: Int64s
) -> bool:
    slot = events.slots[event]
    place = _find(state, slot, events.keys[event])
    if place >= 0:
        if not _is_newer_content(events, event, state, slot, place, item_hashes):
            return False
        _remove(state, slot, place)
    if not _insert(events, event, state, slot):
        return False
    state.revisions[slot] += 1
    return True


@compiled
def count_steps(events: EventColumns, state: SequenceColumns) -> int:
    """Count the events that move their user's newest time: how many versions a merge may leave."""
    newest_ms = np.full(len(state.lengths), -1, dtype=np.int64)
    steps = 0
    for event in range(len(events.slots)):
        slot = events.slots[event]
        if newest_ms[slot] < 0 and state.lengths[slot] > 0:
            newest_ms[slot] = state.times_ms[slot, state.lengths[slot] - 1]
        if events.times_ms[event] > newest_ms[slot]:
            newest_ms[slot] = events.times_ms[event]
            steps += 1
    return steps


@compiled
def _copy_sequence(source: SequenceColumns, slot: int, target: SequenceColumns, row: int) -> None:
    length = source.lengths[slot]
    target.times_ms[row, :length] = source.times_ms[slot, :length]
    target.keys[row, :length] = source.keys[slot, :length]
    target.items[row, :length] = source.items[slot, :length]
    target.types[row, :length] = source.types[slot, :length]
    target.values[row, :length] = source.values[slot, :length]
    target.lengths[row] = length
    target.revisions[row] = source.revisions[slot]


@compiled
def merge_events(
    events: EventColumns,
    state: SequenceColumns,
    item_hashes: Int64s,
    changed: Bools,
    history: SequenceColumns,
    history_slots: Int64s,
) -> tuple[int, int]:
    """Merge E events into S sequences in place, in arrival order.

    Sets `changed[slot]` for every sequence that is no longer what it was. Before an event moves a
    changed sequence to a later time, the version it leaves is copied to `history` (rows as
    `count_steps` allows; none when `history` has no rows) with its slot in `history_slots`.

    Returns (events accepted, versions copied).
    """
    accepted = 0
    copied = 0
    keep_history = len(history_slots) > 0
    for event in range(len(events.slots)):
        slot = events.slots[event]
        length = state.lengths[slot]
        if keep_history and changed[slot] and length > 0:
            if events.times_ms[event] > state.times_ms[slot, length - 1]:
                _copy_sequence(state, slot, history, copied)
                history_slots[copied] = slot
                copied += 1
        if _merge_event(events, event, state, item_hashes):
            changed[slot] = True
            accepted += 1
    return accepted, copied
