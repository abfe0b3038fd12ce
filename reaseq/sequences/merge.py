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
def find_key(state: SequenceColumns, slot: int, key: int) -> int:
    """Where a sequence holds an event, -1 if it does not."""
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
def merge_event(
    events: EventColumns, event: int, state: SequenceColumns, slot: int, item_hashes: Int64s
) -> bool:
    """Merge one event into one sequence; whether that changed it."""
    place = find_key(state, slot, events.keys[event])
    if place >= 0:
        if not _is_newer_content(events, event, state, slot, place, item_hashes):
            return False
        _remove(state, slot, place)
    if not _insert(events, event, state, slot):
        return False
    state.revisions[slot] += 1
    return True


@compiled
def merge_events(
    events: EventColumns, state: SequenceColumns, item_hashes: Int64s, changed: Bools
) -> int:
    """Merge E events into S sequences in place, in the order given; return how many were accepted.

    Sets `changed[slot]` for every sequence that is no longer what it was.
    """
    accepted = 0
    for event in range(len(events.slots)):
        if merge_event(events, event, state, events.slots[event], item_hashes):
            changed[events.slots[event]] = True
            accepted += 1
    return accepted
