"""A dead letter holds what arrived, why it was refused and where it came from."""

from __future__ import annotations

import pytest

from streams.log.codec import Reject
from streams.log.dead_letters import (
    MAX_REASON_CHARACTERS,
    DeadLetter,
    DeadLetters,
    read_dead_letter,
)
from streams.log.memory import MemoryLog
from streams.log.ports import LogError, Partition, Record, RecordBatch, Topic

SOURCE = Partition("reaseq.events", 2)
DEAD = Partition("reaseq.dead", 0)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic("reaseq.dead", 1)])
    return log


def batch(*values: bytes | None) -> RecordBatch:
    records = [Record(40 + n, 0, b"ann", value) for n, value in enumerate(values)]
    return RecordBatch.from_records(SOURCE, records, 40 + len(records))


def letters(log: MemoryLog) -> list[DeadLetter]:
    return [read_dead_letter(record) for record in log.read(DEAD, 0, 100)]


def test_what_is_set_aside_can_be_read_back(log: MemoryLog) -> None:
    """Only the rejected records, in order, with their own offsets, bytes and keys."""
    arrived = batch(b"good", b"\xff\x00", b"good", b"{")
    DeadLetters(log.writer(), "reaseq.dead").put(
        arrived, [Reject(1, "not UTF-8"), Reject(3, "Größe: truncated")]
    )
    assert letters(log) == [
        DeadLetter("not UTF-8", SOURCE, 41, b"\xff\x00"),
        DeadLetter("Größe: truncated", SOURCE, 43, b"{"),
    ]
    assert [record.key for record in log.read(DEAD, 0, 100)] == [b"ann", b"ann"]


def test_a_record_without_a_value_is_set_aside_too(log: MemoryLog) -> None:
    """A tombstone has nothing to keep but where it lay."""
    DeadLetters(log.writer(), "reaseq.dead").put(batch(None), [Reject(0, "no value")])
    (letter,) = letters(log)
    assert (letter.reason, letter.source, letter.offset) == ("no value", SOURCE, 40)
    assert not letter.value


def test_a_long_reason_is_cut_and_still_readable(log: MemoryLog) -> None:
    """Headers stay small whatever a producer writes into an enum; cut between characters."""
    DeadLetters(log.writer(), "reaseq.dead").put(batch(b"x"), [Reject(0, "ü" * 10_000)])
    assert letters(log)[0].reason == "ü" * MAX_REASON_CHARACTERS


def test_nothing_rejected_is_nothing_sent(log: MemoryLog) -> None:
    """A clean batch costs the dead letters nothing."""
    DeadLetters(log.writer(), "reaseq.dead").put(batch(b"good"), [])
    assert letters(log) == []


def test_a_log_that_takes_no_dead_letter_stops_the_caller() -> None:
    """Positions must not move past a record that was kept nowhere."""
    with pytest.raises(LogError, match=r"reaseq\.dead"):
        DeadLetters(MemoryLog().writer(), "reaseq.dead").put(batch(b"x"), [Reject(0, "bad")])


def test_closing_lets_the_writer_go() -> None:
    """The connection ends with the dead letters that used it."""
    closed: list[bool] = []
    writer = MemoryLog().writer()
    writer.close = lambda: closed.append(True)  # type: ignore[method-assign]
    DeadLetters(writer, "reaseq.dead").close()
    assert closed == [True]
