"""A log in memory: the fake that passes the contract suite of the real one."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence

from streams.log.partitioner import partition_of
from streams.log.ports import (
    Headers,
    KnownTopic,
    LogError,
    LogReader,
    LogWriter,
    Partition,
    Record,
    RecordBatch,
    RecordTooLargeError,
    Topic,
)
from streams.log.record_size import max_record_bytes, record_bytes


class MemoryLog:
    """Partitions as lists, shared by all readers and writers made from it; safe among threads."""

    def __init__(
        self, max_message_bytes: int = 4_194_304, clock: Callable[[], float] = time.time
    ) -> None:
        """`max_message_bytes` is the largest value a writer takes, beside key and headers.

        `clock` gives the times of records, in seconds since 1970.
        """
        self.max_message_bytes = max_message_bytes
        self._clock = clock
        self.max_topic_bytes: dict[str, int] = {}
        """What a record may measure in topics that take less; only `flush` tells."""
        self.committed: dict[str, dict[Partition, int]] = {}
        self._records: dict[Partition, list[Record]] = {}
        self._starts: dict[Partition, int] = {}
        self._ids: dict[str, str] = {}
        self._arrived = threading.Condition()

    def create_topics(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            have = len(self.partitions(topic.name))
            if have not in (0, topic.num_partitions):
                raise LogError(f"topic {topic.name} has {have} partitions, not {topic}")
            for index in range(topic.num_partitions):
                self._records.setdefault(Partition(topic.name, index), [])
            self._ids.setdefault(topic.name, uuid.uuid4().hex)

    def partitions(self, topic: str) -> list[Partition]:
        return sorted(partition for partition in self._records if partition.topic == topic)

    def known(self, topic: str) -> KnownTopic:
        """A topic as it is."""
        return KnownTopic(self._ids.get(topic, ""), len(self.partitions(topic)))

    def make_again(self, topic: Topic) -> None:
        """Delete a topic and create it anew, with other partitions if need be."""
        for partition in self.partitions(topic.name):
            del self._records[partition]
            self._starts.pop(partition, None)
        self._ids.pop(topic.name, None)
        self.create_topics([topic])

    def add_partitions(self, topic: Topic) -> None:
        """Let a topic have more partitions, as an operator may."""
        for index in range(topic.num_partitions):
            self._records.setdefault(Partition(topic.name, index), [])

    def reader(self, name: str) -> LogReader:
        return _MemoryReader(self, name)

    def writer(self) -> LogWriter:
        return _MemoryWriter(self)

    def append(
        self, partition: Partition, value: bytes | None, key: bytes | None, headers: Headers
    ) -> None:
        """Append one record and wake waiting readers."""
        with self._arrived:
            records = self._records[partition]
            now_ms = int(1000 * self._clock())
            records.append(Record(len(records), now_ms, key, value, tuple(headers)))
            self._arrived.notify_all()

    def read(self, partition: Partition, start: int, max_records: int) -> list[Record]:
        """Up to `max_records` records from `start` on."""
        return self._records[partition][start : start + max_records]

    def expire(self, partition: Partition, before: int) -> None:
        """Forget the records before an offset, as retention does."""
        self._starts[partition] = before

    def start_offset(self, partition: Partition) -> int:
        """The offset of the first record that is still there."""
        return self._starts.get(partition, 0)

    def lose(self, partition: Partition, after: int) -> None:
        """Forget the records from an offset on, as a broker restored from a backup does."""
        del self._records[partition][after:]

    def end_offset(self, partition: Partition) -> int:
        """The offset after the last record."""
        return len(self._records[partition])

    def wait(self, timeout_s: float) -> None:
        """Sleep until a record arrives or the time is over."""
        with self._arrived:
            self._arrived.wait(timeout_s)


class _MemoryReader:
    def __init__(self, log: MemoryLog, name: str) -> None:
        self._log = log
        self._name = name
        self._positions: dict[Partition, int] = {}

    def assign(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        self._positions = {}
        for partition, position in positions.items():
            start, end = self._log.start_offset(partition), self._log.end_offset(partition)
            nearest = min(max(position, start), end)
            if nearest != position:
                warnings.warn(f"{partition} holds {start} to {end}, not {position}", stacklevel=2)
            self._positions[partition] = nearest
        return dict(self._positions)

    def poll(self, timeout_s: float, max_records: int) -> list[RecordBatch]:
        deadline = time.monotonic() + timeout_s
        while True:
            batches = self._take(max_records)
            left_s = deadline - time.monotonic()
            if batches or left_s <= 0:
                return batches
            self._log.wait(left_s)

    def _take(self, max_records: int) -> list[RecordBatch]:
        batches = []
        for partition, asked in self._positions.items():
            start, end = self._log.start_offset(partition), self._log.end_offset(partition)
            position = asked if start <= asked <= end else start
            records = self._log.read(partition, position, max_records)
            max_records -= len(records)
            if records:
                next_offset = position + len(records)
                self._positions[partition] = next_offset
                batches.append(RecordBatch.from_records(partition, records, next_offset))
        return batches

    def lag(self) -> int:
        return sum(self._log.end_offset(of) - at for of, at in self._positions.items())

    def known(self, topic: str) -> KnownTopic:
        return self._log.known(topic)

    def start_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._log.start_offset(partition) for partition in partitions}

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._log.end_offset(partition) for partition in partitions}

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._log.committed.setdefault(self._name, {}).update(positions)

    def close(self) -> None:
        self._positions = {}


class _MemoryWriter:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._turn = itertools.count()
        self._num_refused = 0

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        num_bytes = record_bytes(value, key, headers)
        if num_bytes > max_record_bytes(self._log.max_message_bytes):
            raise RecordTooLargeError(f"a record of {num_bytes} bytes is more than the log takes")
        partitions = self._log.partitions(topic)
        if not partitions:
            raise LogError(f"topic {topic} does not exist")
        if key is None and value is None:
            value = b""
        if num_bytes > self._log.max_topic_bytes.get(topic, num_bytes):
            self._num_refused += 1
            return
        number = self._number(key, len(partitions))
        with_values = [(name, header or b"") for name, header in headers]
        self._log.append(partitions[number], value, key, with_values)

    def _number(self, key: bytes | None, num_partitions: int) -> int:
        if key is None:
            return next(self._turn) % num_partitions
        return partition_of(key, num_partitions)

    def flush(self) -> None:
        """Nothing is ever queued."""
        num_refused, self._num_refused = self._num_refused, 0
        if num_refused:
            raise RecordTooLargeError(f"the topic did not take {num_refused} records")

    def close(self) -> None:
        """Nothing is held."""
