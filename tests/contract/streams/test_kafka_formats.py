"""What other producers write: compressed batches, transactions, odd times, headers of any kind."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer

from ray_apps.settings import load_settings
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.log.ports import LogReader, Partition, Record, RecordBatch, Topic
from streams.settings import KafkaSettings
from tests.waiting import wait_until

VALUES = [b"a", b"", None, b"x" * 40_000, bytes(range(256))]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """The broker of the launcher setting where there is one, the embedded one otherwise."""
    settings = load_settings().kafka
    with closing(start_broker(settings, tmp_path_factory.mktemp("broker"))) as broker:
        yield broker.reached_by(settings)


@pytest.fixture(params=["batches", "records"])
def log(request: pytest.FixtureRequest, broker: KafkaSettings) -> KafkaLog:
    return KafkaLog(broker.model_copy(update={"fetch": request.param}))


@pytest.fixture
def partition(log: KafkaLog) -> Partition:
    """The only one of a topic of its own."""
    name = f"test-{uuid.uuid4().hex}"
    log.create_topics([Topic(name, 1)])
    return Partition(name, 0)


def read(reader: LogReader, num_records: int) -> tuple[list[Record], RecordBatch]:
    """All records that come until there are so many, and the last batch."""
    records: list[Record] = []
    batches: list[RecordBatch] = []

    def are_there() -> bool:
        batches.extend(reader.poll(0.2, 1000))
        records[:] = [batch.record(n) for batch in batches for n in range(len(batch))]
        return len(records) >= num_records

    wait_until(are_there)
    return records, batches[-1]


def producer(broker: KafkaSettings, **options: Any) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=broker.bootstrap_servers, **options)


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "snappy", "zstd"])
def test_every_codec_is_read(
    broker: KafkaSettings, log: KafkaLog, partition: Partition, codec: str | None
) -> None:
    """Whole batches of records with every kind of value and header."""
    headers = [("why", b"because"), ("no", b""), ("ü", b"\x00\xff")]
    with closing(producer(broker, compression_type=codec, linger_ms=200)) as writer:
        for value in VALUES * 3:
            writer.send(partition.topic, value, b"ann", headers, timestamp_ms=1_700_000_000_000)
        writer.send(partition.topic, b"bare")
        writer.flush()
    with closing(log.reader("test")) as reader:
        reader.assign({partition: 0})
        records, _ = read(reader, 16)
    # A broker may keep a missing value as an empty one.
    assert [record.value or b"" for record in records[:15]] == [v or b"" for v in VALUES * 3]
    assert {record.key for record in records[:15]} == {b"ann"}
    assert {tuple(record.headers) for record in records[:15]} == {tuple(headers)}
    assert {record.timestamp_ms for record in records[:15]} == {1_700_000_000_000}
    assert (records[15].key, tuple(records[15].headers)) == (None, ())
    assert [record.offset for record in records] == list(range(16))


def test_reading_goes_on_in_the_middle_of_a_compressed_batch(
    broker: KafkaSettings, log: KafkaLog, partition: Partition
) -> None:
    """A fetch brings the whole batch; what was read before does not come again."""
    with closing(producer(broker, compression_type="lz4", linger_ms=500)) as writer:
        for number in range(100):
            writer.send(partition.topic, b"%d" % number)
        writer.flush()
    for start in (0, 1, 50, 99):
        with closing(log.reader("test")) as reader:
            reader.assign({partition: start})
            records, last = read(reader, 100 - start)
        assert [record.value for record in records] == [b"%d" % n for n in range(start, 100)]
        assert last.next_offset == 100


def test_a_few_records_at_a_time_are_all_of_them(
    broker: KafkaSettings, log: KafkaLog, partition: Partition
) -> None:
    """A poll brings no more than it is asked for, however large the batches are."""
    with closing(producer(broker, linger_ms=500)) as writer:
        for number in range(100):
            writer.send(partition.topic, b"%d" % number, headers=[("n", b"%d" % number)])
        writer.flush()
    found: list[Record] = []
    with closing(log.reader("test")) as reader:
        reader.assign({partition: 0})

        def are_there() -> bool:
            for batch in reader.poll(0.2, 7):
                assert len(batch) <= 7
                found.extend(batch.record(n) for n in range(len(batch)))
                assert batch.next_offset == len(found)
            return len(found) >= 100

        wait_until(are_there)
    assert [record.value for record in found] == [b"%d" % n for n in range(100)]
    assert [dict(record.headers)["n"] for record in found] == [b"%d" % n for n in range(100)]


def test_an_aborted_transaction_is_not_read_and_leaves_no_lag(
    broker: KafkaSettings, log: KafkaLog, partition: Partition
) -> None:
    """Only what was committed comes, and the position ends where the log does."""
    writer = producer(broker, transactional_id=f"test-{uuid.uuid4().hex}")
    with closing(writer):
        writer.init_transactions()
        for name, end in (
            (b"aborted", writer.abort_transaction),
            (b"committed", writer.commit_transaction),
            (b"aborted", writer.abort_transaction),
        ):
            writer.begin_transaction()
            for number in range(3):
                writer.send(partition.topic, b"%s%d" % (name, number), b"ann")
            writer.flush()
            end()
    with closing(log.reader("test")) as reader:
        reader.assign({partition: 0})
        values: list[bytes | None] = []
        positions = [0]

        def is_at_the_end() -> bool:
            for batch in reader.poll(0.2, 1000):
                values.extend(batch.values.to_pylist())
                positions.append(batch.next_offset)
            return positions[-1] == reader.end_offsets([partition])[partition] > 0

        wait_until(is_at_the_end)
    assert values == [b"committed0", b"committed1", b"committed2"]


def test_times_are_taken_as_they_are(
    broker: KafkaSettings, log: KafkaLog, partition: Partition
) -> None:
    """What a producer says, however odd, is the record's time."""
    now_ms = time.time_ns() // 1_000_000
    with closing(producer(broker, linger_ms=200)) as writer:
        for time_ms in (0, now_ms, 1):
            writer.send(partition.topic, b"x", timestamp_ms=time_ms)
        writer.flush()
    with closing(log.reader("test")) as reader:
        reader.assign({partition: 0})
        records, _ = read(reader, 3)
    assert [record.timestamp_ms for record in records] == [0, now_ms, 1]
