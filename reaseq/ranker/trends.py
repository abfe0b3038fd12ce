"""How much an item is in demand lately: the one thing that a user's sequence cannot tell.

A model trained three weeks ago knows last month's best sellers. These features carry demand past
the moment of training: they are computed from orders before the current UTC day, in training and
in serving alike, so a training row never sees its own day.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reaseq.event_clock import EventClock
from reaseq.types import DAY_MS, Float32s, Float64s, Int64s

FILE_NAME = "trends.npz"

_FLOOR = 0.02
"""Orders a day below which demand makes no difference any more."""


class TrendHistory(NamedTuple):
    """The features of every day on which something was ordered, for training.

    They take room by the number of such days, not by the time between the first and the last.
    """

    days: Int64s
    """[D], ascending."""
    features: Float32s
    """[D, K, num_items + 1]."""

    def at(self, days_B: Int64s) -> Float32s:
        """[B, K, num_items + 1]; another day gets the next one of these, or else the last."""
        row = np.searchsorted(self.days, days_B)
        features: Float32s = self.features[np.minimum(row, len(self.features) - 1)]
        return features


class ItemTrends:
    """Decayed orders a day of each item, as of the start of a UTC day.

        count_k(c, day) = sum over orders o of c before day: 2 ^ -((day - 1 - day(o)) / h_k)
        rate_k          = count_k / (1.44 h_k)
        feature_k       = log((rate_k + 0.02) / 0.02) / 2

    1.44 h = h / ln 2 is the mean age under decay, so rates of different half lives compare. An
    order that is ahead of the orders' own now (`reaseq.event_clock`) counts for the current day.
    """

    def __init__(self, num_items: int, half_lives_days: Sequence[float]) -> None:
        self.half_lives_K = np.asarray(half_lives_days, np.float64)
        self.day: int | None = None
        self._clock = EventClock()
        self._before_KC = np.zeros((len(self.half_lives_K), num_items + 1))
        self._today_C = np.zeros(num_items + 1)

    def observe(self, codes: Int64s, times_ms: Int64s) -> None:
        """Count ordered items. One that is late counts for the current day."""
        days = self._days_of(times_ms)
        for day in np.unique(days):
            self._count(int(day), codes[days == day])

    def features(self, day: int) -> Float32s:
        """[K, num_items + 1] by code, from orders before `day`; the past cannot be asked for."""
        sums_KC = self._before_KC
        if self.day is not None and day > self.day:
            sums_KC = self._at(day)
        rates_KC = sums_KC * (np.log(2) / self.half_lives_K)[:, None]
        return np.asarray(np.log1p(rates_KC / _FLOOR) / 2, np.float32)

    def follow(self, codes: Int64s, times_ms: Int64s) -> TrendHistory:
        """Observe a whole history and return the features of each day with an order."""
        if not len(codes):
            return TrendHistory(np.zeros(1, np.int64), self.features(0)[None])
        days = self._days_of(times_ms)
        distinct_days = np.unique(days)
        features = []
        for day in distinct_days:
            features.append(self.features(int(day)))
            self._count(int(day), codes[days == day])
        return TrendHistory(distinct_days, np.stack(features))

    def save(self, folder: Path) -> None:
        """Write `trends.npz` into an existing folder."""
        np.savez(
            folder / FILE_NAME,
            half_lives=self.half_lives_K,
            day=-1 if self.day is None else self.day,
            before=self._before_KC,
            today=self._today_C,
            clock=self._clock.state(),
        )

    @classmethod
    def load(cls, folder: Path) -> ItemTrends:
        """Read what `save` wrote."""
        with np.load(folder / FILE_NAME) as stored:
            loaded = cls(stored["before"].shape[1] - 1, stored["half_lives"])
            day = int(stored["day"])
            loaded.day = None if day < 0 else day
            loaded._before_KC = stored["before"].copy()
            loaded._today_C = stored["today"].copy()
            loaded._clock = EventClock.resume(stored["clock"])
        return loaded

    def _days_of(self, times_ms: Int64s) -> Int64s:
        """The days for which these orders count, once they have moved the clock."""
        self._clock.observe(times_ms)
        now_ms = self._clock.now_ms
        if now_ms is None:
            return times_ms // DAY_MS
        if self.day is not None:  # a young clock may have believed in a later one
            self.day = min(self.day, now_ms // DAY_MS)
        return np.minimum(times_ms, now_ms) // DAY_MS

    def _count(self, day: int, codes: Int64s) -> None:
        self._advance(day)
        self._today_C += np.bincount(codes, minlength=len(self._today_C))
        self._today_C[0] = 0

    def _advance(self, day: int) -> None:
        if self.day is None:
            self.day = day
        elif day > self.day:
            self._before_KC, self.day = self._at(day), day
            self._today_C = np.zeros_like(self._today_C)

    def _at(self, day: int) -> Float64s:
        assert self.day is not None
        decay_K = np.exp2(-(day - self.day - 1) / self.half_lives_K)[:, None]
        one_day_K = np.exp2(-1 / self.half_lives_K)[:, None]
        return np.asarray((self._before_KC * one_day_K + self._today_C) * decay_K)
