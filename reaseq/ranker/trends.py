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

from reaseq.types import DAY_MS, Float32s, Float64s, Int64s

FILE_NAME = "trends.npz"

_FLOOR = 0.02
"""Orders a day below which demand makes no difference any more."""


class TrendHistory(NamedTuple):
    """The features of every day of a period, for training."""

    first_day: int
    features: Float32s
    """[days, K, num_items + 1]."""

    def at(self, days_B: Int64s) -> Float32s:
        """[B, K, num_items + 1]; a day outside the period gets the nearest one inside."""
        row = np.clip(days_B - self.first_day, 0, len(self.features) - 1)
        return self.features[row]


class ItemTrends:
    """Decayed orders a day of each item, as of the start of a UTC day.

        count_k(c, day) = sum over orders o of c before day: 2 ^ -((day - 1 - day(o)) / h_k)
        rate_k          = count_k / (1.44 h_k)
        feature_k       = log((rate_k + 0.02) / 0.02) / 2

    1.44 h = h / ln 2 is the mean age under decay, so rates of different half lives compare.
    """

    def __init__(self, num_items: int, half_lives_days: Sequence[float]) -> None:
        self.half_lives_K = np.asarray(half_lives_days, np.float64)
        self.day: int | None = None
        self._before_KC = np.zeros((len(self.half_lives_K), num_items + 1))
        self._today_C = np.zeros(num_items + 1)

    def observe(self, codes: Int64s, times_ms: Int64s) -> None:
        """Count ordered items. One that is late counts for the current day."""
        days = times_ms // DAY_MS
        for day in np.unique(days):
            self._advance(int(day))
            self._today_C += np.bincount(codes[days == day], minlength=len(self._today_C))
        self._today_C[0] = 0

    def features(self, day: int) -> Float32s:
        """[K, num_items + 1] by code, from orders before `day`; the past cannot be asked for."""
        sums_KC = self._before_KC
        if self.day is not None and day > self.day:
            sums_KC = self._at(day)
        rates_KC = sums_KC * (np.log(2) / self.half_lives_K)[:, None]
        return np.asarray(np.log1p(rates_KC / _FLOOR) / 2, np.float32)

    def follow(self, codes: Int64s, times_ms: Int64s) -> TrendHistory:
        """Observe a whole history and return the features of each of its days."""
        if not len(codes):
            return TrendHistory(0, self.features(0)[None])
        days = times_ms // DAY_MS
        first, last = int(days.min()), int(days.max())
        features = []
        for day in range(first, last + 1):
            features.append(self.features(day))
            of_day = days == day
            self.observe(codes[of_day], times_ms[of_day])
        return TrendHistory(first, np.stack(features))

    def save(self, folder: Path) -> None:
        """Write `trends.npz` into an existing folder."""
        np.savez(
            folder / FILE_NAME,
            half_lives=self.half_lives_K,
            day=-1 if self.day is None else self.day,
            before=self._before_KC,
            today=self._today_C,
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
        return loaded

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
