"""The sequences that a replay of the log would hold at given moments, for many users in one pass.

A moment is a label: its time, and how many of its user's events had arrived before it. What was
known then is the newest N of the events that are earlier in both: they had arrived, and they had
happened. The loop merges a user's events once, in the order given, and copies the sequence at each
label; only where events had arrived that happened later does it begin anew for a label.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.compiled import compiled
from reaseq.sequences.columns import SequenceColumns
from reaseq.sequences.merge import EventColumns, find_key, merge_event
from reaseq.types import Bools, Int64s


class Moments(NamedTuple):
    """L labels, those of a user together and in the order of `arrived`."""

    users: Int64s
    first: Int64s
    """Where the events of the label's user begin."""
    arrived: Int64s
    """The first event that had not arrived; all of the user's before it had."""
    times_ms: Int64s
    """Only what happened strictly before is known."""


@compiled
def replay_to(
    events: EventColumns,
    moments: Moments,
    item_hashes: Int64s,
    window: SequenceColumns,
    again: SequenceColumns,
    found: SequenceColumns,
) -> None:
    """Fill `found`, with room for L sequences of N events, with the sequence of each moment.

    `events` are those of all users, one user after the other. `window` and `again` have room for
    one sequence.
    """
    capacity = len(window.keys)
    user, event, is_plain = -1, 0, True
    for label in range(len(moments.users)):
        if moments.users[label] != user:
            user, event, is_plain = moments.users[label], moments.first[label], True
            window.lengths[0] = window.revisions[0] = 0
        while event < moments.arrived[label]:
            place = find_key(window, 0, events.keys[event])
            is_other = place >= 0 and events.times_ms[event] != window.times_ms[place]
            # What a full window or a second content of an event drops cannot be brought back.
            if is_other or window.lengths[0] == capacity:
                is_plain = False
            merge_event(events, event, window, 0, item_hashes)
            event += 1
        num_before = _num_before(window, moments.times_ms[label])
        if num_before == window.lengths[0] or is_plain:
            _copy(window, num_before, found, label)
            continue
        again.lengths[0] = again.revisions[0] = 0
        for earlier in range(moments.first[label], moments.arrived[label]):
            if events.times_ms[earlier] < moments.times_ms[label]:
                merge_event(events, earlier, again, 0, item_hashes)
        _copy(again, again.lengths[0], found, label)


@compiled
def _num_before(window: SequenceColumns, time_ms: int) -> int:
    """How many events of the window are strictly before a time."""
    number = window.lengths[0]
    while number > 0 and window.times_ms[number - 1] >= time_ms:
        number -= 1
    return int(number)


@compiled
def _copy(window: SequenceColumns, length: int, found: SequenceColumns, label: int) -> None:
    start = found.starts[label]
    found.times_ms[start : start + length] = window.times_ms[:length]
    found.keys[start : start + length] = window.keys[:length]
    found.items[start : start + length] = window.items[:length]
    found.types[start : start + length] = window.types[:length]
    found.values[start : start + length] = window.values[:length]
    found.lengths[label] = length
    found.revisions[label] = window.revisions[0] if length else 0


@compiled
def first_purchases(
    event_times_ms: Int64s,
    is_purchase: Bools,
    starts: Int64s,
    ends: Int64s,
    times_ms: Int64s,
) -> Int64s:
    """For each label the first purchase of its user at exactly its time, -1 if there is none.

    The events of the label's user are those from `starts` to `ends`, in the order of arrival.
    """
    found = np.full(len(times_ms), -1, np.int64)
    for label in range(len(times_ms)):
        for event in range(starts[label], ends[label]):
            if is_purchase[event] and event_times_ms[event] == times_ms[label]:
                found[label] = event
                break
    return found


@compiled
def happened_before(
    event_times_ms: Int64s, starts: Int64s, ends: Int64s, times_ms: Int64s
) -> Int64s:
    """For each label the first event of its user that did not happen before it.

    The events of the label's user are those from `starts` to `ends`, in the order of time.
    """
    found = np.empty(len(times_ms), np.int64)
    for label in range(len(times_ms)):
        of_user = event_times_ms[starts[label] : ends[label]]
        found[label] = starts[label] + np.searchsorted(of_user, times_ms[label])
    return found
