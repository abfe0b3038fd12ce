"""`reaseq.event_clock`: what time it is by the events, whatever single ones say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.event_clock import (
    EVENTS_PER_WITNESS,
    MAX_LEAD_MS,
    MAX_WITNESSES,
    EventClock,
    clock_of,
    up_to_now,
)
from reaseq.events import MAX_EVENT_TIME_MS
from reaseq.types import DAY_MS

HOUR_MS = 3_600_000
START_MS = 1_300_000_000_000
IN_2099_MS = 4_070_908_800_000

any_time = st.integers(0, MAX_EVENT_TIME_MS - 1)
lately = st.integers(START_MS, START_MS + 40 * DAY_MS)


def regular(num_events: int, every_ms: int) -> list[int]:
    """A shop with an event every so often."""
    return [START_MS + number * every_ms for number in range(num_events)]


logs = st.builds(
    list.__add__,
    st.builds(regular, st.integers(EVENTS_PER_WITNESS, 400), st.integers(0, 3 * DAY_MS)),
    st.lists(lately | any_time, max_size=12),
)
"""Dense and sparse ones, with some events of any time among them."""


def now_of(times_ms: list[int]) -> int:
    """What time it is by these events."""
    now_ms = clock_of(np.array(times_ms, np.int64)).now_ms
    assert now_ms is not None
    return now_ms


def bound_of(times_ms: list[int]) -> int:
    """How far one more event may move now, by the documented rule."""
    num_witnesses = min(MAX_WITNESSES, 1 + len(times_ms) // EVENTS_PER_WITNESS)
    newest = sorted(times_ms, reverse=True)[: num_witnesses + 1]
    return MAX_LEAD_MS + max([a - b for a, b in pairwise(newest)], default=0)


@given(logs, any_time)
def test_one_event_of_any_time_moves_now_at_most_by_the_bound(log: list[int], time: int) -> None:
    """Whatever the log holds, wrong times included, forwards and backwards."""
    assert abs(now_of([*log, time]) - now_of(log)) <= bound_of(log)


@pytest.mark.parametrize("wrong", [0, IN_2099_MS])
def test_a_busy_log_is_not_moved(wrong: int) -> None:
    """An event an hour for a month; then one that lies, far ahead or far back."""
    log = regular(720, HOUR_MS)
    assert now_of(log) == now_of([*log, wrong]) == log[-1]


def test_a_session_from_a_wrong_clock_is_not_believed() -> None:
    """Thirty events of 2099 among two thousand of a month."""
    log = regular(2000, HOUR_MS // 3)
    assert now_of([*log, *[IN_2099_MS] * 30]) == log[-1]


@given(logs, st.integers(0, 400))
def test_order_and_portions_do_not_matter(log: list[int], cut: int) -> None:
    """Two portions, the later one first, as all at once; and kept in between."""
    clock = clock_of(np.array(log[cut:], np.int64))
    clock = EventClock.resume(clock.state())
    clock.observe(np.array(log[:cut], np.int64))
    assert clock.now_ms == now_of(log)


@given(logs)
def test_now_is_the_time_of_an_event(log: list[int]) -> None:
    """And in a log of a few events the newest."""
    assert now_of(log) in log
    assert now_of(log[: EVENTS_PER_WITNESS - 1]) == max(log[: EVENTS_PER_WITNESS - 1])


def test_a_first_event_that_lies_is_forgotten() -> None:
    """Once there are witnesses for another time."""
    log = [IN_2099_MS, *regular(60, HOUR_MS)]
    assert now_of(log) == log[-1]


def test_ages_are_counted_from_now() -> None:
    """What is ahead of now has no age; nothing has one before the first event."""
    log = np.array([*regular(100, HOUR_MS), IN_2099_MS])
    clock = clock_of(log)
    assert clock.ages_ms(log)[-2:].tolist() == [0, 0]
    assert clock.ages_ms(log).max() == 99 * HOUR_MS
    assert EventClock().now_ms is None
    with pytest.raises(AssertionError, match="no event"):
        EventClock().ages_ms(log)


def test_what_is_ahead_of_now_waits() -> None:
    """`up_to_now` keeps the rest, and an empty table as it is."""
    times = regular(100, HOUR_MS)
    table = pa.table({"event_time_ms": [*times, IN_2099_MS]})
    assert up_to_now(table)["event_time_ms"].to_pylist() == times
    assert up_to_now(table.slice(0, 0)).num_rows == 0
