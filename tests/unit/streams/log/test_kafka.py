"""What the Kafka adapter makes of the client's records; the rest is the contract suite's."""

from __future__ import annotations

from types import SimpleNamespace

from streams.log.kafka import _record_batch
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
