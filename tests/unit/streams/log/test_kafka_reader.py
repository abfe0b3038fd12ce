"""What the reader makes of the client's records and errors; the rest is the contract suite's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kafka import codec
from kafka.record.default_records import DefaultRecordBase

from reaseq.errors import NotReadyError
from streams.log.kafka_client import codecs_named
from streams.log.kafka_columns import fetch_whole_batches
from streams.log.kafka_reader import _record_batch
from streams.log.ports import Partition, Record
from streams.log.record_batch import NO_TIMESTAMP_MS

PARTITION = Partition("events", 1)


def fetched(offset: int, timestamp: int | None) -> SimpleNamespace:
    """A record as kafka-python returns it."""
    return SimpleNamespace(
        offset=offset, timestamp=timestamp, key=b"ann", value=b"{}", headers=[("n", b"1")]
    )


def test_a_record_without_a_time_is_marked_as_such() -> None:
    """The oldest format has none (None), later ones may lack it (-1): one sign for both."""
    batch = _record_batch(PARTITION, [fetched(3, None), fetched(4, -1), fetched(5, 77)])
    assert batch.timestamps_ms.tolist() == [NO_TIMESTAMP_MS, NO_TIMESTAMP_MS, 77]


def test_the_next_offset_follows_the_last_record() -> None:
    """Compaction and transactions leave gaps; headers become a tuple."""
    batch = _record_batch(PARTITION, [fetched(3, 1), fetched(9, 2)])
    assert batch.next_offset == 10
    assert batch.record(1) == Record(9, 2, b"ann", b"{}", (("n", b"1"),))


def test_a_codec_that_is_missing_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the client says alone does not help at 3 a.m."""
    monkeypatch.setattr(codec, "lz4", None)
    with pytest.raises(NotReadyError, match=r"lz4.*: pip install lz4$"), codecs_named():
        DefaultRecordBase()._assert_has_codec(DefaultRecordBase.CODEC_LZ4)


def test_another_version_of_the_client_is_read_record_by_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Said once, by the name that is missing."""
    assert not fetch_whole_batches(SimpleNamespace(_fetcher=SimpleNamespace()))
    assert "PartitionRecords" in caplog.text
    assert "one by one" in caplog.text
