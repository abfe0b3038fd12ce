"""Freshness is a number for any sample: none, a few, or more than are kept."""

from __future__ import annotations

import numpy as np

from reaseq.types import Int64s
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.shards.freshness import NUM_SAMPLES, Freshness, FreshnessPercentiles, youngest_s


def produced_at(*times_ms: int) -> Int64s:
    """Records with these timestamps."""
    return np.array(times_ms, np.int64)


def test_without_records_it_is_zero() -> None:
    """A position may move before anything is applied; NaN would be no JSON."""
    freshness = Freshness()
    assert freshness.percentiles() == FreshnessPercentiles(0.0, 0.0)
    freshness.observe([], 1000.0)
    assert freshness.percentiles() == FreshnessPercentiles(0.0, 0.0)


def test_percentiles_are_those_of_the_ages() -> None:
    """Ages 0 to 100 ms: half are below 50, and 99 of 100 below 99."""
    freshness = Freshness()
    freshness.observe([produced_at(*range(900, 950)), produced_at(*range(950, 1001))], 1000.0)
    assert freshness.percentiles() == FreshnessPercentiles(50.0, 99.0)


def test_records_without_a_timestamp_do_not_count() -> None:
    """They would look as if they had waited since 1970."""
    freshness = Freshness()
    freshness.observe([produced_at(NO_TIMESTAMP_MS, 0)], 1000.0)
    assert freshness.percentiles() == FreshnessPercentiles()
    freshness.observe([produced_at(990, NO_TIMESTAMP_MS, 0)], 1000.0)
    assert freshness.percentiles() == FreshnessPercentiles(10.0, 10.0)


def test_only_the_newest_are_kept() -> None:
    """A slow hour is forgotten when as many records have come since."""
    freshness = Freshness()
    freshness.observe([produced_at(*[0] * NUM_SAMPLES)], 1e6)
    freshness.observe([produced_at(*[5] * NUM_SAMPLES)], 7.0)
    assert freshness.percentiles() == FreshnessPercentiles(2.0, 2.0)


def test_the_youngest_of_records_says_how_far_behind_one_is() -> None:
    """Clients that write no time, or one that is yet to come, do not count as behind."""
    assert youngest_s([produced_at(1000, 4000), produced_at(3000)], 9000.0) == 5.0
    assert youngest_s([], 9000.0) == 0.0
    assert youngest_s([produced_at(), produced_at(0, NO_TIMESTAMP_MS)], 9000.0) == 0.0
    assert youngest_s([produced_at(9500)], 9000.0) == 0.0
