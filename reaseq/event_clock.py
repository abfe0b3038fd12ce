"""What time it is by the events, for decay, splits and training: their own clock, not the wall's.

A replayed year must behave as it did when it was new, so "now" follows the events. It is not simply
the newest of them: one phone with a wrong clock would put everything else into the distant past.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.types import DAY_MS, Int64s

MAX_LEAD_MS = DAY_MS
"""How far events may run ahead of those that bear them out. A day makes hardly a difference to any
decay, and a shop that is open every day has its witnesses within one."""

EVENTS_PER_WITNESS = 50
MAX_WITNESSES = 100
"""One event in fifty may have a wrong time, as a whole session from one wrong clock has; hundred of
them are enough for any log."""


class EventClock:
    """The time of the newest event that does not run ahead of what other events bear out.

        k   = min(100, 1 + number of events // 50)
        now = the newest time that is at most the k-th newest + 1 day

    So one more event, whatever its time, moves `now` by at most `MAX_LEAD_MS` and the time between
    two neighbours among the k + 1 newest of the other events. Below 50 events k is 1 and the newest
    is believed: there is nothing to hold it against. The order of events and their portions do not
    matter.

    Example: of 100 events an hour apart and one a year later, k is 3, and now is the newest of the
    hundred.
    """

    def __init__(self) -> None:
        self._num_events = 0
        self._newest_ms = np.zeros(0, np.int64)  # ascending, at most MAX_WITNESSES

    def observe(self, times_ms: Int64s) -> None:
        """These events have been seen, in any order."""
        times_ms = np.asarray(times_ms, np.int64)
        if len(times_ms) > MAX_WITNESSES:
            self._num_events += len(times_ms) - MAX_WITNESSES
            times_ms = np.partition(times_ms, -MAX_WITNESSES)[-MAX_WITNESSES:]
        self._num_events += len(times_ms)
        seen = np.sort(np.concatenate([self._newest_ms, times_ms]))
        self._newest_ms = seen[-MAX_WITNESSES:]

    @property
    def now_ms(self) -> int | None:
        """What time it is; None before the first event."""
        if not self._num_events:
            return None
        num_witnesses = min(MAX_WITNESSES, 1 + self._num_events // EVENTS_PER_WITNESS)
        limit_ms = self._newest_ms[-num_witnesses] + MAX_LEAD_MS
        return int(self._newest_ms[self._newest_ms <= limit_ms][-1])

    def ages_ms(self, times_ms: Int64s) -> Int64s:
        """How long before now each time lies; 0 for what is ahead. Asks for a first event."""
        now_ms = self.now_ms
        assert now_ms is not None, "no event has been seen"
        return np.maximum(now_ms - times_ms, 0)

    def state(self) -> Int64s:
        """All that is needed to go on."""
        return np.append(self._num_events, self._newest_ms)

    @classmethod
    def resume(cls, state: Int64s) -> EventClock:
        """Go on from what `state` gave."""
        clock = cls()
        clock._num_events, clock._newest_ms = int(state[0]), state[1:].copy()
        return clock


def clock_of(times_ms: Int64s) -> EventClock:
    """The clock of a whole log."""
    clock = EventClock()
    clock.observe(times_ms)
    return clock


def up_to_now(events: pa.Table) -> pa.Table:
    """The events (EVENT_SCHEMA) that are not ahead of their own clock: what may be learnt from.

    So the newest of them can be taken for "now", and what is left out waits until the clock is
    there.
    """
    times_ms = events["event_time_ms"].to_numpy()
    now_ms = clock_of(times_ms).now_ms
    return events if now_ms is None else events.filter(pa.array(times_ms <= now_ms))
