"""Which event times are believed: the one rule for the topics and for HTTP.

A clock that is wrong by years would move decay, splits and retention for everybody, so an event
that is ahead of its own record, or older than any log, is set aside with the reason. How late an
event is does not matter: it is merged where it belongs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.types import Int64s

YEAR_1980_MS = 315_532_800_000
"""No log is older; a clock that was never set says 1970."""

NEVER_MS = 2**62


class EventTimes(NamedTuple):
    """The span in which an event time is believed, given when its record was produced."""

    min_ms: int
    max_lead_ms: int
    """How far a time may lie after the record's own, or after the reader's clock if that is less: a
    producer's word for its record is believed no further than that either."""

    def latest_ms(self, produced_ms: Int64s, now_ms: int) -> Int64s:
        """The latest time believed of each record; one without a time was produced by now.

        Some clients write 0 where they have none, and a time before `min_ms` is none either.
        """
        unknown = produced_ms < max(self.min_ms, 1)
        known_ms: Int64s = np.minimum(np.where(unknown, now_ms, produced_ms), now_ms)
        return known_ms + self.max_lead_ms

    def refused(self, times_ms: Int64s, latest_ms: Int64s) -> Int64s:
        """The positions of the times that are not believed."""
        return np.flatnonzero((times_ms < self.min_ms) | (times_ms > latest_ms))

    def reason(self, time_ms: int, latest_ms: int) -> str:
        """Why a time that is not believed is not."""
        if time_ms < self.min_ms:
            return (
                f"event_time_ms {time_ms} lies before {self.min_ms} (kafka.min_event_time_ms): "
                "is it in seconds?"
            )
        ahead_s = (time_ms - latest_ms + self.max_lead_ms) / 1000
        return (
            f"event_time_ms {time_ms} lies {ahead_s:.0f} s ahead of its record, more than "
            "kafka.max_event_lead_s allows: is the sender's clock wrong?"
        )


ANY_TIME = EventTimes(min_ms=0, max_lead_ms=NEVER_MS)
"""Believes everything that a codec's types allow."""
