"""Freshness is a number for any sample: none, a few, or more than are kept."""

from __future__ import annotations

from streams.log.ports import Partition, Record, RecordBatch
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.shards.freshness import NUM_SAMPLES, Freshness, FreshnessPercentiles


def produced_at(*times_ms: int) -> RecordBatch:
    """Records with these timestamps."""
    records = [Record(n, time_ms, None, b"x") for n, time_ms in enumerate(times_ms)]
    return RecordBatch.from_records(Partition("events", 0), records, len(records))


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
