"""One suite for every log: the fake, the embedded broker and a launched Apache Kafka."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from ray_apps.settings import load_settings
from streams.log import kafka_reader
from streams.log.broker import start_broker
from streams.log.codec import Reject
from streams.log.dead_letters import DeadLetters, read_dead_letter
from streams.log.kafka import KafkaLog
from streams.log.memory import MemoryLog
from streams.log.partitioner import partition_of
from streams.log.ports import (
    Headers,
    KnownTopic,
    Log,
    LogError,
    LogReader,
    Partition,
    Record,
    RecordBatch,
    RecordTooLargeError,
    Topic,
)
from streams.log.record_size import headers_bytes, max_record_bytes, record_bytes
from streams.settings import KafkaSettings
from tests.waiting import wait_until

MAX_MESSAGE_BYTES = 1_000_000
MAX_RECORD_BYTES = max_record_bytes(MAX_MESSAGE_BYTES)

Content = tuple[bytes | None, bytes | None, Headers]


def largest(where: str) -> Content:
    """Value, key and headers that measure just what a log takes, most of it in `where`."""
    if where == "many headers":
        one = ("n", b"123456789")
        room = MAX_RECORD_BYTES - record_bytes(None, b"ann", [])
        return None, b"ann", [one] * (room // headers_bytes([one]))
    big = b"x" * (MAX_RECORD_BYTES - record_bytes(b"v", b"ann", [("h", b"")]))
    value = b"v" + (big if where == "value" else b"")
    key = b"ann" + (big if where == "key" else b"")
    return value, key, [("h", big if where == "header" else b"")]


@pytest.fixture(scope="module", params=["memory", "embedded", "launched"])
def broker_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaSettings | None]:
    """How a broker is reached; None for the fake."""
    if request.param == "memory":
        yield None
        return
    launcher = load_settings().kafka.launcher if request.param == "launched" else None
    if request.param == "launched" and not launcher:
        pytest.skip("no real broker: set REASEQ_KAFKA__LAUNCHER to a command that starts one")
    settings = KafkaSettings(
        launcher=launcher, max_message_bytes=MAX_MESSAGE_BYTES, max_event_bytes=1000
    )
    with closing(start_broker(settings, tmp_path_factory.mktemp("broker"))) as broker:
        yield broker.reached_by(settings)


@pytest.fixture(params=["batches", "records"])
def log(request: pytest.FixtureRequest, broker_settings: KafkaSettings | None) -> Log:
    if broker_settings is None:
        return MemoryLog(MAX_MESSAGE_BYTES)
    return KafkaLog(broker_settings.model_copy(update={"fetch": request.param}))


@pytest.fixture
def topic(log: Log) -> str:
    name = f"test-{uuid.uuid4().hex}"
    log.create_topics([Topic(name, 3)])
    return name


def records_of(batch: RecordBatch) -> list[Record]:
    return [batch.record(position) for position in range(len(batch))]


@contextmanager
def reading(log: Log, topic: str) -> Iterator[LogReader]:
    """A reader at the beginning of every partition."""
    with closing(log.reader("test")) as reader:
        reader.assign(dict.fromkeys(log.partitions(topic), 0))
        yield reader


def read_all(reader: LogReader, num_records: int) -> list[Record]:
    """All that comes until there are so many."""
    records: list[Record] = []

    def are_there() -> bool:
        for batch in reader.poll(0.5, 1000):
            records.extend(records_of(batch))
        return len(records) >= num_records

    wait_until(are_there)
    return records


def write(log: Log, topic: str, values: list[bytes], key: bytes | None = None) -> None:
    with closing(log.writer()) as writer:
        for value in values:
            writer.send(topic, value, key)


def test_records_of_a_key_come_back_in_order_with_everything_they_carried(
    log: Log, topic: str
) -> None:
    """Key, value, headers, time and order survive; one key stays in one partition."""
    before_ms = time.time() * 1000 - 1000
    with closing(log.writer()) as writer:
        for number in range(50):
            writer.send(topic, b"%d" % number, b"ann", [("why", b"because"), ("n", b"%d" % number)])
    with reading(log, topic) as reader:
        records = read_all(reader, 50)
    assert [record.value for record in records] == [b"%d" % number for number in range(50)]
    assert [record.offset for record in records] == list(range(50))
    assert {record.key for record in records} == {b"ann"}
    assert dict(records[7].headers) == {"why": b"because", "n": b"7"}
    assert all(before_ms < record.timestamp_ms < time.time() * 1000 + 1000 for record in records)


def expire(log: Log, settings: KafkaSettings | None, partition: Partition, before: int) -> None:
    """Let the records before an offset go, as retention does."""
    if isinstance(log, MemoryLog):
        log.expire(partition, before)
        return
    assert settings is not None
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        try:
            admin.delete_records({TopicPartition(*partition): before})
        except KafkaError as error:
            pytest.skip(f"this broker deletes no records: {error}")


def test_records_that_are_gone_leave_a_gap(
    log: Log, topic: str, broker_settings: KafkaSettings | None
) -> None:
    """The reader goes on with the first record there is, and says where the log begins."""
    partition = log.partitions(topic)[partition_of(b"k", 3)]
    with reading(log, topic) as reader, closing(log.writer()) as writer:
        for number in range(3):
            writer.send(topic, str(number).encode(), b"k")
        writer.flush()
        assert len(read_all(reader, 3)) == 3
        assert reader.start_offsets([partition]) == {partition: 0}
        for number in range(3, 9):
            writer.send(topic, str(number).encode(), b"k")
        writer.flush()
        expire(log, broker_settings, partition, 7)
        # What the reader had fetched ahead may still come.
        offsets = [record.offset for record in read_all(reader, 2)]
        assert offsets[-1] == 8
        assert reader.start_offsets([partition]) == {partition: 7}


@contextmanager
def administration(settings: KafkaSettings | None) -> Iterator[KafkaAdminClient]:
    assert settings is not None
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        yield admin


def make_again(log: Log, settings: KafkaSettings | None, topic: Topic) -> None:
    """Delete a topic and create it under its name, as an operator may."""
    if isinstance(log, MemoryLog):
        log.make_again(topic)
        return
    with administration(settings) as admin:
        admin.delete_topics([topic.name])
    wait_until(lambda: not log.partitions(topic.name))
    log.create_topics([topic])


def test_a_topic_that_was_made_again_is_told_by_its_id(
    log: Log, topic: str, broker_settings: KafkaSettings | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has outgrown the position of the reader, who then reads it from its beginning."""
    monkeypatch.setattr(kafka_reader, "METADATA_MAX_AGE_MS", 500)
    write(log, topic, [b"old"] * 3, b"k")
    with reading(log, topic) as reader:
        assert len(read_all(reader, 3)) == 3
        before = reader.known(topic)
        assert before.num_partitions == 3
        if not before.id:
            pytest.skip("this broker has no ids of topics")
        make_again(log, broker_settings, Topic(topic, 3))
        write(log, topic, [b"new %d" % number for number in range(9)], b"k")

        def is_noticed() -> bool:
            reader.poll(0.1, 1000)
            now = reader.known(topic)
            return now.num_partitions == 3 and now.id != before.id

        wait_until(is_noticed)
        reader.assign(dict.fromkeys(log.partitions(topic), 0))
        values = [record.value for record in read_all(reader, 9)]
    assert values == [b"new %d" % number for number in range(9)]


def test_partitions_that_were_added_are_told(
    log: Log, topic: str, broker_settings: KafkaSettings | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a reader that goes on with the partitions it has."""
    monkeypatch.setattr(kafka_reader, "METADATA_MAX_AGE_MS", 500)
    with reading(log, topic) as reader:
        before = reader.known(topic)
        if isinstance(log, MemoryLog):
            log.add_partitions(Topic(topic, 5))
        else:
            with administration(broker_settings) as admin:
                try:
                    admin.create_partitions({topic: 5})
                except KafkaError as error:
                    pytest.skip(f"this broker adds no partitions: {error}")

        def is_noticed() -> bool:
            reader.poll(0.1, 1000)
            return reader.known(topic) == before._replace(num_partitions=5)

        wait_until(is_noticed)


def test_a_topic_that_is_not_there_has_no_partitions(log: Log) -> None:
    """And no id."""
    with closing(log.reader("test")) as reader:
        assert reader.known("nowhere") == KnownTopic("", 0)


def test_reading_starts_at_the_assigned_position(log: Log, topic: str) -> None:
    """Positions are the reader's to choose, and `next_offset` is where to go on."""
    write(log, topic, [b"%d" % number for number in range(10)], b"ann")
    with closing(log.reader("test")) as reader:
        ends = reader.end_offsets(log.partitions(topic))
        (home,) = [partition for partition, end in ends.items() if end]
        reader.assign({home: 7})
        batches: list[RecordBatch] = []
        wait_until(lambda: bool(batches.extend(reader.poll(0.5, 2)) or batches))
        values = [value for batch in batches for value in batch.values.to_pylist()]
        # Two at most were asked for; how many a broker sends first is its own affair.
        assert values in ([b"7"], [b"7", b"8"])
        assert batches[-1].next_offset == 7 + len(values)
        reader.assign({home: 9})
        assert [record.value for record in read_all(reader, 1)] == [b"9"]


def test_the_lag_is_what_the_log_still_holds(log: Log, topic: str) -> None:
    """As of the last answer, over all partitions that are assigned; nothing at the end."""
    for user in (b"ann", b"ben", b"cid"):
        write(log, topic, [b"%d" % number for number in range(10)], user)
    with closing(log.reader("test")) as reader:
        ends = reader.end_offsets(log.partitions(topic))
        reader.assign(dict.fromkeys(ends, 0))
        num_read = 0

        def read_some(at_most: int) -> int:
            nonlocal num_read
            num_read += sum(map(len, reader.poll(0.5, at_most)))
            return num_read

        wait_until(lambda: read_some(4) >= 4)
        assert 0 <= reader.lag() <= 30 - num_read
        wait_until(lambda: read_some(40) == 30)
        assert reader.lag() == 0
        write(log, topic, [b"more"] * 3, b"ann")
        wait_until(lambda: read_some(1) == 31)
        assert reader.lag() == 2


def test_a_key_lands_in_the_partition_that_the_partitioner_says(log: Log, topic: str) -> None:
    """Producer and shards agree where a user lives, for keys of any length and script."""
    keys = [b"", b"17850", "größe-ü".encode(), b"user-0000000000000000000042", b"\xff\x00\x80"]
    keys += [b"u%d" % number for number in range(60)]
    writer = log.writer()
    for key in keys:
        writer.send(topic, b"x", key)
    writer.close()
    reader = log.reader("test")
    reader.assign(dict.fromkeys(log.partitions(topic), 0))
    found: dict[bytes, int] = {}
    deadline = time.monotonic() + 20
    while len(found) < len(keys) and time.monotonic() < deadline:
        for batch in reader.poll(0.5, 1000):
            found |= dict.fromkeys(batch.keys.to_pylist(), batch.partition.number)
    assert found == {key: partition_of(key, 3) for key in keys}
    assert set(found.values()) == {0, 1, 2}
    reader.close()


def test_a_batch_has_one_entry_per_record_in_every_column(log: Log, topic: str) -> None:
    """A missing key or value is null; offsets ascend up to the one before `next_offset`."""
    (partition, *_) = log.partitions(topic)
    writer = log.writer()
    key = next(k for k in (b"k%d" % n for n in range(99)) if partition_of(k, 3) == 0)
    for value in (b"a", None, b"", b"b"):
        writer.send(topic, value, key)
    writer.close()
    reader = log.reader("test")
    reader.assign({partition: 0})
    (batch,) = reader.poll(5.0, 10)
    assert (batch.partition, len(batch), batch.next_offset) == (partition, 4, 4)
    assert batch.keys.to_pylist() == [key] * 4
    assert batch.offsets.tolist() == [0, 1, 2, 3]
    assert len(batch.timestamps_ms) == 4
    assert [value or b"" for value in batch.values.to_pylist()] == [b"a", b"", b"", b"b"]
    reader.close()


def test_end_offsets_count_every_partition(log: Log, topic: str) -> None:
    """End offsets sum up to what was written, and an untouched partition ends at 0."""
    for key in (b"a", b"b", b"c", b"d"):
        write(log, topic, [b"x"] * 5, key)
    partitions = log.partitions(topic)
    with closing(log.reader("test")) as reader:
        ends = reader.end_offsets(partitions)
    assert list(ends) == partitions == [Partition(topic, index) for index in range(3)]
    assert sum(ends.values()) == 20


def test_a_waiting_reader_gets_what_arrives(log: Log, topic: str) -> None:
    """`poll` returns early when a record arrives, and empty when none does."""
    with reading(log, topic) as reader:
        assert reader.poll(0.05, 10) == []
        late = threading.Timer(0.2, write, [log, topic, [b"late"]])
        late.start()
        try:
            assert [record.value for record in read_all(reader, 1)] == [b"late"]
        finally:
            late.join()


def test_a_position_past_the_end_goes_on_from_the_end_with_a_warning(log: Log, topic: str) -> None:
    """A broker that lost records does not stop a reader that had seen them."""
    write(log, topic, [b"x"], b"ann")
    partitions = log.partitions(topic)
    with closing(log.reader("test")) as reader:
        with pytest.warns(UserWarning, match=r"1000|ends at"):
            reader.assign(dict.fromkeys(partitions, 1000))
        write(log, topic, [b"next"], b"ann")
        assert [record.value for record in read_all(reader, 1)] == [b"next"]


@pytest.mark.parametrize("where", ["value", "key", "header", "many headers"])
def test_key_value_and_headers_are_measured_together(log: Log, topic: str, where: str) -> None:
    """The largest record comes back whole; one byte more is refused at once and spoils nothing."""
    value, key, headers = largest(where)
    assert MAX_RECORD_BYTES - 100 < record_bytes(value, key, headers) <= MAX_RECORD_BYTES
    with closing(log.writer()) as writer:
        with pytest.raises(RecordTooLargeError, match="bytes"):
            writer.send(topic, (value or b"") + b"x" * 100, key, headers)
        writer.send(topic, value, key, headers)
    with reading(log, topic) as reader:
        (record,) = read_all(reader, 1)
    assert (record.value or None, record.key, tuple(record.headers)) == (value, key, tuple(headers))


def test_a_topic_that_takes_less_refuses_by_name_of_the_error(
    log: Log, broker_settings: KafkaSettings | None
) -> None:
    """`flush` tells size from other trouble, and the writer stays usable."""
    if broker_settings and not broker_settings.launcher:
        pytest.skip("the embedded broker takes what it gets")
    topic, limit = f"test-{uuid.uuid4().hex}", 20_000
    create_narrow_topic(log, broker_settings, topic, limit)
    with closing(log.writer()) as writer:
        writer.send(topic, b"x" * (max_record_bytes(limit) + 1), b"ann")
        with pytest.raises(RecordTooLargeError):
            writer.flush()
        writer.send(topic, b"small", b"ann")
    with reading(log, topic) as reader:
        assert [record.value for record in read_all(reader, 1)] == [b"small"]


@pytest.mark.parametrize("where", ["value", "key", "header", "many headers"])
def test_the_largest_record_has_a_dead_letter(log: Log, topic: str, where: str) -> None:
    """What a log takes as an event, it takes as a dead letter, cut if need be."""
    value, key, headers = largest(where)
    source = Partition(topic, 2)
    record = Record(7, 0, key, value, headers)
    with closing(DeadLetters(log.writer(), topic)) as dead_letters:
        dead_letters.put(RecordBatch.from_records(source, [record], 8), [Reject(0, "bad")])
    with reading(log, topic) as reader:
        letter = read_dead_letter(read_all(reader, 1)[0])
    assert (letter.reason, letter.source, letter.offset) == ("bad", source, 7)
    assert letter.truncated.startswith(where.split()[-1].removesuffix("s"))


def create_narrow_topic(log: Log, settings: KafkaSettings | None, topic: str, limit: int) -> None:
    """A topic made under settings with a smaller limit than the log's."""
    if isinstance(log, MemoryLog):
        log.create_topics([Topic(topic, 1)])
        log.max_topic_bytes[topic] = max_record_bytes(limit)
        return
    assert settings is not None
    narrow = settings.model_copy(update={"max_message_bytes": limit})
    KafkaLog(narrow).create_topics([Topic(topic, 1)])


@pytest.mark.parametrize("key", [b"ann", None])
def test_what_has_no_value_can_be_written(log: Log, topic: str, key: bytes | None) -> None:
    """A header without a value comes back empty; a record without key and value is a record."""
    with closing(log.writer()) as writer:
        writer.send(topic, None, key, [("trace", None), ("trace", b"2")])  # type: ignore[list-item]
    with reading(log, topic) as reader:
        (record,) = read_all(reader, 1)
    assert (record.key or None, record.value or b"") == (key, b"")
    assert tuple(record.headers) == (("trace", b""), ("trace", b"2"))


def test_creating_a_topic_again_is_harmless_unless_it_differs(log: Log, topic: str) -> None:
    """The same topic twice is one topic; another partition count is an error that says so."""
    log.create_topics([Topic(topic, 3)])
    assert len(log.partitions(topic)) == 3
    with pytest.raises(LogError, match="3 partitions"):
        log.create_topics([Topic(topic, 5)])
    assert log.partitions(f"missing-{uuid.uuid4().hex}") == []


def test_positions_can_be_published(log: Log, topic: str) -> None:
    """Committing for lag tools neither fails nor moves the reader."""
    write(log, topic, [b"a", b"b"], b"ann")
    with reading(log, topic) as reader:
        reader.commit(dict.fromkeys(log.partitions(topic), 1))
        assert [record.value for record in read_all(reader, 2)] == [b"a", b"b"]


def test_an_absent_broker_is_named_with_what_to_check() -> None:
    """The error says where it looked and which settings to look at."""
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:9",
        connect_timeout_s=0.5,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="ann",
        sasl_password="wrong",  # type: ignore[arg-type]
    )
    with pytest.raises(LogError, match=r"127\.0\.0\.1:9 .*kafka\.bootstrap_servers.*password"):
        KafkaLog(settings).reader("test")


def test_a_broker_that_cannot_start_says_so(tmp_path: Path) -> None:
    """A wrong launcher fails at once, with the setting's name or the command's own words."""
    with pytest.raises(LogError, match=r"kafka\.launcher"):
        start_broker(KafkaSettings(launcher="/no/such/command"), tmp_path)
    with pytest.raises(LogError, match="ended at once"):
        start_broker(KafkaSettings(launcher="false"), tmp_path)
