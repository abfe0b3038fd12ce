"""A dead letter holds what arrived, why it was refused and where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.codec import Reject
from streams.log.dead_letters import (
    MAX_REASON_CHARACTERS,
    ORIGINAL_BYTES,
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


def test_the_headers_of_the_producer_are_kept(log: MemoryLog) -> None:
    """Trace and tenant stand beside our own, and what we say counts where a name is ours."""
    headers = [("traceparent", b"00-1"), ("tenant", b"\xff"), ("reaseq.reason", b"an older one")]
    arrived = RecordBatch.from_records(SOURCE, [Record(40, 0, b"ann", b"{", headers)], 41)
    DeadLetters(log.writer(), "reaseq.dead").put(arrived, [Reject(0, "truncated")])
    (record,) = log.read(DEAD, 0, 100)
    assert list(record.headers[:3]) == headers
    assert read_dead_letter(record).reason == "truncated"


@settings(max_examples=60)
@given(
    value=st.none() | st.integers(0, 40_000).map(bytes),
    key=st.none() | st.integers(0, 40_000).map(bytes),
    sizes=st.lists(st.integers(0, 30_000), max_size=3),
)
def test_whatever_is_too_large_leaves_a_dead_letter(
    value: bytes | None, key: bytes | None, sizes: list[int]
) -> None:
    """Of any size of value, key and headers: whole where the log takes it, else cut and said."""
    log = MemoryLog(max_message_bytes=20_000)
    log.create_topics([Topic("reaseq.dead", 1)])
    headers = [("h", bytes(size)) for size in sizes]
    arrived = RecordBatch.from_records(SOURCE, [Record(40, 0, key, value, headers)], 41)
    DeadLetters(log.writer(), "reaseq.dead").put(arrived, [Reject(0, "bad")])
    (record,) = log.read(DEAD, 0, 100)
    letter = read_dead_letter(record)
    assert (letter.reason, letter.offset) == ("bad", 40)
    is_whole = (record.value, record.key) == (value, key) and len(record.headers) == 4 + len(sizes)
    assert is_whole != (ORIGINAL_BYTES in dict(record.headers))
    assert (value or b"").startswith(record.value or b"")
    assert (key or b"").startswith(record.key or b"")


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
