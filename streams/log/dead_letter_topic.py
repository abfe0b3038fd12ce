"""Reading the dead-letter topic: one letter by its place, or all that are wanted, oldest first."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from reaseq.errors import InputError, NotReadyError
from streams.log.dead_letters import DeadLetter, read_dead_letter
from streams.log.ports import Log, LogError, Partition, Record

READER_NAME = "reaseq-dead-letters"

RECORDS_PER_POLL = 100

PATIENCE_S = 30.0
"""How long to wait for a record that the log says it has."""


class StoredLetter(NamedTuple):
    """A dead letter and where it lies in its own topic."""

    partition: int
    position: int
    set_aside_ms: int
    letter: DeadLetter

    @property
    def id(self) -> str:
        """PARTITION@OFFSET in the dead-letter topic."""
        return f"{self.partition}@{self.position}"


@dataclass(frozen=True)
class Wanted:
    """Which letters are asked for; None asks for all."""

    reason: str | None = None
    """Part of the reason, in any case."""
    topic: str | None = None
    """The topic that the record came from."""
    since_ms: int | None = None
    """Set aside at this moment or later."""

    def matches(self, stored: StoredLetter) -> bool:
        """Whether it is asked for."""
        letter = stored.letter
        return (
            (self.reason is None or self.reason.lower() in letter.reason.lower())
            and (self.topic is None or self.topic == letter.source.topic)
            and (self.since_ms is None or self.since_ms <= stored.set_aside_ms)
        )


class DeadLetterTopic:
    """The letters that the topic held at one moment; each reading gives the same."""

    def __init__(self, log: Log, topic: str) -> None:
        """Raises NotReadyError where there is no such topic."""
        partitions = log.partitions(topic)
        if not partitions:
            raise NotReadyError(
                f"the broker has no topic {topic}: check topics.dead_letters, and that the stream "
                "has run"
            )
        self.num_foreign = 0
        """Records met so far that are not dead letters of reaseq."""
        self._log = log
        self._topic = topic
        with closing(log.reader(READER_NAME)) as reader:
            self._ends = reader.end_offsets(partitions)

    def read(self, wanted: Wanted | None = None) -> Iterator[StoredLetter]:
        """Those that are wanted, one partition after the other; a few at a time are in memory.

        Raises LogError when the broker does not give what it has.
        """
        self.num_foreign = 0
        for partition, end in self._ends.items():
            for record in self._records(partition, 0, end):
                try:
                    stored = _stored(partition, record)
                except InputError:
                    self.num_foreign += 1
                    continue
                if wanted is None or wanted.matches(stored):
                    yield stored

    def at(self, letter_id: str) -> StoredLetter:
        """The letter of an id. Raises InputError where there is none."""
        number, position = parse_id(letter_id)
        partition = Partition(self._topic, number)
        if position < self._ends.get(partition, 0):
            record = next(self._records(partition, position, position + 1), None)
            if record is not None and record.offset == position:
                return _stored(partition, record)
        raise InputError(
            f"{self._topic} holds nothing at {letter_id}: `reaseq dead-letters list` shows the ids"
        )

    def _records(self, partition: Partition, start: int, end: int) -> Iterator[Record]:
        with closing(self._log.reader(READER_NAME)) as reader:
            position = reader.assign({partition: start})[partition]
            waiting_since = time.monotonic()
            while position < end:
                for batch in reader.poll(1.0, min(RECORDS_PER_POLL, end - start)):
                    for record in map(batch.record, range(len(batch))):
                        if record.offset < end:
                            yield record
                    position, waiting_since = batch.next_offset, time.monotonic()
                if time.monotonic() - waiting_since > PATIENCE_S:
                    raise LogError(f"{self._topic}: offset {position} did not come: try again")


def parse_id(text: str) -> tuple[int, int]:
    """Partition and offset of PARTITION@OFFSET. Raises InputError."""
    found = re.fullmatch(r"(\d{1,9})@(\d{1,18})", text, re.ASCII)
    if not found:
        raise InputError(
            f"{text!r} is not the id of a dead letter: give PARTITION@OFFSET as `reaseq "
            "dead-letters list` shows it, such as 0@17"
        )
    return int(found[1]), int(found[2])


def _stored(partition: Partition, record: Record) -> StoredLetter:
    letter = read_dead_letter(record)
    return StoredLetter(partition.number, record.offset, record.timestamp_ms, letter)
