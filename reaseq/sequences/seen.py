"""Which events were seen before, at eight bytes each.

What counts events, unlike a sequence, would count a repeated one again; see
`reaseq.sequences.merge` for what does not need this.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa

from reaseq.sequences.hashing import hash64
from reaseq.types import DAY_MS, Bools, Int64s

PERIOD_MS = 30 * DAY_MS
"""Events are forgotten a period at a time."""

_ODD = np.int64(-7046029254386353131)


class SeenEvents:
    """Remembers events by user, event id and the period that they fall into.

    Among a hundred million events of a period the chance that any is taken for another is one in
    four thousand.
    """

    def __init__(self) -> None:
        self._periods: dict[int, _Keys] = defaultdict(_Keys)

    def __len__(self) -> int:
        return sum(map(len, self._periods.values()))

    def are_new(self, events: pa.Table) -> Bools:
        """Which of the events (EVENT_SCHEMA) were never seen, of equal ones the first; now all are.

        Returns [E].
        """
        keys = _keys_of(events)
        periods = events["event_time_ms"].to_numpy() // PERIOD_MS
        is_new = np.zeros(len(keys), np.bool_)
        for period in np.unique(periods).tolist():
            rows = np.flatnonzero(periods == period)
            is_new[rows] = self._periods[period].add(keys[rows])
        return is_new

    def forget_before(self, time_ms: int) -> None:
        """Let go of the periods that ended before a time; their events would be new again."""
        for period in [one for one in self._periods if (one + 1) * PERIOD_MS <= time_ms]:
            del self._periods[period]


class _Keys:
    """A set of numbers: a short list of sorted arrays, each at least twice as large as the next.

    So a batch costs about its own size (the logarithmic method).
    """

    def __init__(self) -> None:
        self._pieces: list[Int64s] = []

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def add(self, keys: Int64s) -> Bools:
        """Which of them were not there, of equal ones the first; now all are."""
        distinct, first = np.unique(keys, return_index=True)
        is_new = np.ones(len(distinct), np.bool_)
        for piece in self._pieces:
            place = np.minimum(np.searchsorted(piece, distinct), len(piece) - 1)
            is_new &= piece[place] != distinct
        self._append(distinct[is_new])
        answer = np.zeros(len(keys), np.bool_)
        answer[first[is_new]] = True
        return answer

    def _append(self, keys: Int64s) -> None:
        while self._pieces and len(self._pieces[-1]) < 2 * len(keys):
            keys = np.sort(np.concatenate([self._pieces.pop(), keys]), kind="stable")
        if len(keys):
            self._pieces.append(keys)


def _keys_of(events: pa.Table) -> Int64s:
    with np.errstate(over="ignore"):
        keys: Int64s = hash64(events["user_id"]) * _ODD + hash64(events["event_id"])
    return keys
