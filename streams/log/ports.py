"""The log as the rest of reaseq sees it: a few small ports, so that a vendor stays an adapter.

`streams.log.kafka` speaks to a real broker, `streams.log.memory` is the fake for tests; one
contract suite runs on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from reaseq.errors import UnavailableError
from streams.log.record_batch import Headers, Partition, Record, RecordBatch

__all__ = [
    "Headers",
    "KnownTopic",
    "Log",
    "LogError",
    "LogReader",
    "LogWriter",
    "Partition",
    "Record",
    "RecordBatch",
    "RecordTooLargeError",
    "Topic",
]


class Topic(NamedTuple):
    """A topic to create."""

    name: str
    num_partitions: int


class KnownTopic(NamedTuple):
    """What a reader knows of a topic at the moment."""

    id: str
    """Another one when the topic is made again under its name; empty where the log has no ids."""
    num_partitions: int
    """0 while the topic is not there."""


class LogError(UnavailableError):
    """The log cannot be used; the message says what was tried and what to check."""


class RecordTooLargeError(LogError, ValueError):
    """A record measures more than the log, or its topic, takes."""


class LogReader(Protocol):
    """Reads from fixed partitions at positions the caller keeps; no consumer group is joined."""

    def assign(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Read these partitions from these offsets on, forgetting any assignment before.

        A position outside the log (its records expired, or the broker lost them) is moved to the
        nearest end that exists, with a warning. Returns the positions taken.
        """

    def poll(self, timeout_s: float, max_records: int) -> list[RecordBatch]:
        """Return what has arrived, waiting up to `timeout_s` for the first record.

        Where the log no longer holds the position, it goes on with the first record there is: then
        a batch does not begin where the one before ended.
        """

    def lag(self) -> int:
        """How many offsets lay after the positions when the log last answered; asks nobody."""

    def known(self, topic: str) -> KnownTopic:
        """A topic as it was when the reader last heard of it, half a minute ago at most."""

    def start_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The offset of the first record that each partition still holds, or its end."""

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The offset after the last record of each partition."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions for lag tools; nothing is ever read back from here."""

    def close(self) -> None:
        """Let the connection go."""


class LogWriter(Protocol):
    """Appends records.

    A key lands in the partition that `streams.log.partitioner.partition_of` says; records without
    a key land anywhere.
    """

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        """Queue one record.

        Measured are key, value and headers together (`streams.log.record_size`): raises
        RecordTooLargeError at once where that is more than the log takes. A header without a value
        is written with an empty one, and so is a record that has neither key nor value.
        """

    def flush(self) -> None:
        """Wait until every queued record is acknowledged. Raises LogError when one is not.

        It is a RecordTooLargeError where a topic takes less than the log does, and that is all.
        """

    def close(self) -> None:
        """Flush and let the connection go."""


class Log(Protocol):
    """A broker, or what stands for one."""

    def create_topics(self, topics: Sequence[Topic]) -> None:
        """Create topics that do not exist. Raises LogError on a different partition count."""

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of a topic, empty when there is no such topic."""

    def reader(self, name: str) -> LogReader:
        """A new reader; `name` appears in lag tools."""

    def writer(self) -> LogWriter:
        """A new writer."""
