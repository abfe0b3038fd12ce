"""Ages of events as a few numbers: every model that reads a sequence tells time by them."""

from __future__ import annotations

import numpy as np

from reaseq.types import MINUTE_MS, Int64s

NUM_RECENCY_BUCKETS = 24
"""Ages of events in steps of a factor of 2 from one minute on; the last begins at 16 years."""


def recency_buckets(ages_ms: Int64s) -> Int64s:
    """floor(log2(1 + minutes)), at most NUM_RECENCY_BUCKETS - 1; the future counts as now.

    Example: 0, 1, 3 and 7 minutes give 0, 1, 2 and 3.
    """
    # The floor of the logarithm sees only whole minutes, and of a whole number it is exact.
    whole = 1 + np.maximum(ages_ms, 0) // MINUTE_MS
    exponents = np.frexp(whole)[1].astype(np.int64) - 1
    return np.asarray(np.minimum(exponents, NUM_RECENCY_BUCKETS - 1), np.int64)
