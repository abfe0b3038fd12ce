"""`reaseq.sequences.buckets`."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reaseq.sequences.buckets import NUM_RECENCY_BUCKETS, recency_buckets
from reaseq.types import MINUTE_MS


def test_ages_count_in_powers_of_two_of_minutes() -> None:
    """Now, one, three and seven minutes; then for ever; the future counts as now."""
    minutes = np.array([0, 1, 3, 7, 10**12, -5])
    expected = [0, 1, 2, 3, NUM_RECENCY_BUCKETS - 1, 0]
    assert recency_buckets(minutes * MINUTE_MS).tolist() == expected


def test_a_bucket_begins_at_its_minute() -> None:
    """A millisecond before 2^k - 1 minutes is still the bucket before."""
    for bucket in range(1, NUM_RECENCY_BUCKETS):
        begins_ms = (2**bucket - 1) * MINUTE_MS
        ages_ms = np.array([[begins_ms - 1, begins_ms]])
        assert recency_buckets(ages_ms).tolist() == [[bucket - 1, bucket]]


@given(st.integers(0, 10**13))
def test_it_is_the_floor_of_the_logarithm(age_ms: int) -> None:
    """As the formula says, in exact arithmetic of whole minutes."""
    expected = min(math.floor(math.log2(1 + age_ms // MINUTE_MS)), NUM_RECENCY_BUCKETS - 1)
    assert recency_buckets(np.array([age_ms])).tolist() == [expected]
