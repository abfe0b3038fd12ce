"""How long records wait before they are readable, over the newest ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from reaseq.types import Int64s

NUM_SAMPLES = 4096
"""Newest records whose age at the time of writing is kept."""


class FreshnessPercentiles(NamedTuple):
    """Milliseconds from a record produced to its features readable; 0 without any record."""

    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Freshness:
    """Collects the ages of records at the moment they became readable."""

    def __init__(self) -> None:
        self._ages_ms = np.empty(0)

    def observe(self, produced_ms: Iterable[Int64s], now_ms: float) -> None:
        """Records of these times are readable now; those without a time are left out.

        Some clients write 0 where they have none.
        """
        ages_ms = [now_ms - times[times > 0] for times in produced_ms]
        self._ages_ms = np.concatenate([self._ages_ms, *ages_ms])[-NUM_SAMPLES:]

    def percentiles(self) -> FreshnessPercentiles:
        """Of the newest records."""
        if not len(self._ages_ms):
            return FreshnessPercentiles()
        p50_ms, p99_ms = np.percentile(self._ages_ms, [50, 99])
        return FreshnessPercentiles(float(p50_ms), float(p99_ms))


def youngest_s(produced_ms: Iterable[Int64s], now_ms: float) -> float:
    """Seconds since the newest of these records was produced; 0 without any that has a time."""
    newest_ms = max((int(times.max(initial=0)) for times in produced_ms), default=0)
    return max(0.0, (now_ms - newest_ms) / 1000) if newest_ms > 0 else 0.0
