"""The one operation on user sequences: union, then keep the newest N.

Order of events in a sequence: by (event time, event key), oldest first. Identity: the event key.
When one key arrives with two contents, the greater of (event time, item hash, event type, value
bits) stays, whichever came first. Both rules are maxima over a total order, so the merge is
idempotent, commutative and associative: duplicates, late events, replays and crashes cannot corrupt
a sequence.

The loops here are compiled and walk columns; `reaseq.sequences.columns` says where each sequence
lies in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.compiled import compiled
from reaseq.sequences.columns import SequenceColumns, copy_event, make_room
from reaseq.types import Bools, Float64s, Int64s


class EventColumns(NamedTuple):
    """E events as columns, in the order they arrived; `slots` says whose each is."""

    slots: Int64s
    times_ms: Int64s
    keys: Int64s
    items: Int64s
    types: Int64s
    values: Float64s


@compiled
def _is_newer_content(
    events: EventColumns, event: int, state: SequenceColumns, place: int, item_hashes: Int64s
) -> bool:
    """Compare two contents of one event key by (time, item hash, type, value bits)."""
    if events.times_ms[event] != state.times_ms[place]:
        return bool(events.times_ms[event] > state.times_ms[place])
    new_item = item_hashes[events.items[event]]
    old_item = item_hashes[state.items[place]]
    if new_item != old_item:
        return bool(new_item > old_item)
    if events.types[event] != state.types[place]:
        return bool(events.types[event] > state.types[place])
    new_bits = events.values[event : event + 1].view(np.int64)[0]
    old_bits = state.values[place : place + 1].view(np.int64)[0]
    return bool(new_bits > old_bits)


@compiled
def find_key(state: SequenceColumns, slot: int, key: int) -> int:
    """Where in the columns a sequence holds an event, -1 if it does not."""
    start = state.starts[slot]
    for place in range(start + state.lengths[slot] - 1, start - 1, -1):
        if state.keys[place] == key:
            return int(place)
    return -1


@compiled
def _remove(state: SequenceColumns, slot: int, place: int) -> None:
    for target in range(place, state.starts[slot] + state.lengths[slot] - 1):
        copy_event(state, target + 1, target)
    state.lengths[slot] -= 1


@compiled
def _insert(events: EventColumns, event: int, state: SequenceColumns, slot: int) -> bool:
    """Put one event at its place from the newest end; False when it is older than a full window."""
    time_ms, key = events.times_ms[event], events.keys[event]
    start = state.starts[slot]
    end = start + state.lengths[slot]
    place = end
    while place > start and (
        state.times_ms[place - 1] > time_ms
        or (state.times_ms[place - 1] == time_ms and state.keys[place - 1] > key)
    ):
        place -= 1
    if state.lengths[slot] == state.block_sizes[-1]:
        if place == start:
            return False
        for target in range(start, place - 1):
            copy_event(state, target + 1, target)
        place -= 1
    else:
        for target in range(end, place, -1):
            copy_event(state, target - 1, target)
        state.lengths[slot] += 1
    state.times_ms[place] = time_ms
    state.keys[place] = key
    state.items[place] = events.items[event]
    state.types[place] = events.types[event]
    state.values[place] = events.values[event]
    return True


@compiled
def merge_event(
    events: EventColumns, event: int, state: SequenceColumns, slot: int, item_hashes: Int64s
) -> bool:
    """Merge one event into one sequence; whether that changed it. There is room for one more."""
    place = find_key(state, slot, events.keys[event])
    if place >= 0:
        if not _is_newer_content(events, event, state, place, item_hashes):
            return False
        _remove(state, slot, place)
    if not _insert(events, event, state, slot):
        return False
    state.revisions[slot] += 1
    return True


@compiled
def merge_events(
    events: EventColumns, first: int, state: SequenceColumns, item_hashes: Int64s, changed: Bools
) -> tuple[int, int]:
    """Merge events from number `first` on into their sequences, in place, in the order given.

    Returns how many were accepted, and the event that found no room: with more room it is the
    next; E when there is none. Sets `changed[slot]` for every sequence that is no longer what it
    was.
    """
    accepted = 0
    for event in range(first, len(events.slots)):
        slot = events.slots[event]
        if not make_room(state, slot):
            return accepted, event
        if merge_event(events, event, state, slot, item_hashes):
            changed[slot] = True
            accepted += 1
    return accepted, len(events.slots)
