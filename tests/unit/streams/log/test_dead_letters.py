"""A dead letter holds what arrived, why it was refused and where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.errors import InputError
from streams.log.codec import Reject
from streams.log.dead_letters import (
    KEPT_BYTES,
    MAX_REASON_CHARACTERS,
    OUR_HEADERS,
    REASON,
    DeadLetter,
    DeadLetters,
    read_dead_letter,
)
from streams.log.memory import MemoryLog
from streams.log.ports import Headers, LogError, Partition, Record, RecordBatch, Topic
from streams.log.record_size import ENVELOPE_BYTES, headers_bytes, record_bytes

SOURCE = Partition("reaseq.events", 2)
DEAD = Partition("reaseq.dead", 0)


LIMIT = 30_000
"""The largest value that the log of these tests takes."""

SIZES = st.sampled_from([0, 1, KEPT_BYTES, KEPT_BYTES + 1, LIMIT, LIMIT + ENVELOPE_BYTES, 100_000])
CONTENTS = st.none() | SIZES.map(lambda size: b"x" * size)
NAMES = st.sampled_from([*OUR_HEADERS, "traceparent", "ü" * 40, "n" * 50_000, ""])


@pytest.fixture
def log() -> MemoryLog:
    return new_log()


def new_log() -> MemoryLog:
    log = MemoryLog(LIMIT)
    log.create_topics([Topic("reaseq.dead", 1)])
    return log


def set_aside(
    log: MemoryLog, value: bytes | None, key: bytes | None, headers: Headers, reason: str = "bad"
) -> DeadLetter:
    """The dead letter of one record, read back."""
    records = [Record(40, 0, key, value, headers)]
    arrived = RecordBatch.from_records(SOURCE, records, 41)
    DeadLetters(log.writer(), "reaseq.dead").put(arrived, [Reject(0, reason)])
    (letter,) = letters(log)
    return letter


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
        DeadLetter("not UTF-8", SOURCE, 41, b"ann", b"\xff\x00", ()),
        DeadLetter("Größe: truncated", SOURCE, 43, b"ann", b"{", ()),
    ]


def test_the_headers_of_the_producer_stay_beside_ours(log: MemoryLog) -> None:
    """Trace, tenant and schema in their order, doubled names too; ours are the last of a name."""
    theirs = (("traceparent", b"00-abc"), ("tenant", b"x"), ("tenant", b"y"))
    assert set_aside(log, b"bad", b"ann", theirs).headers == theirs
    (record,) = log.read(DEAD, 0, 1)
    assert [name for name, _ in record.headers] == [*(name for name, _ in theirs), *OUR_HEADERS]


def test_a_producer_cannot_pass_headers_off_as_ours(log: MemoryLog) -> None:
    """A record that bears all our names, a dead letter sent as an event perhaps."""
    theirs = tuple((name, b"1") for name in OUR_HEADERS)
    letter = set_aside(log, b"x", None, theirs, "the true reason")
    assert (letter.reason, letter.source, letter.offset) == ("the true reason", SOURCE, 40)
    assert (letter.headers, letter.truncated) == (theirs, "")


@pytest.mark.parametrize(
    ("value", "key", "headers", "truncated", "num_headers"),
    [
        (b"v" * 100_000, b"ann", (("h", b"1"),), "value 100000", 1),
        (b"v" * 2_000, b"k" * 100_000, (("h", b"1"),), "value 2000, key 100000", 1),
        (b"{}", b"k" * 100_000, (), "key 100000", 0),
        (b"{}", b"ann", (("h", b"1"), ("big", b"x" * 100_000)), "headers 100025", 1),
        (None, None, (("n" * 100_000, b""),), "headers 100010", 0),
    ],
)
def test_what_is_too_large_is_cut_value_first_then_key_then_headers(
    log: MemoryLog,
    value: bytes | None,
    key: bytes | None,
    headers: Headers,
    truncated: str,
    num_headers: int,
) -> None:
    """No more than needed; what was cut is said with the size it had, and its start is kept."""
    letter = set_aside(log, value, key, headers)
    assert letter.truncated == truncated
    assert letter.key == (key[:KEPT_BYTES] if key and "key" in truncated else key)
    assert (letter.value or b"") == (value or b"")[: KEPT_BYTES if "value" in truncated else None]
    assert letter.headers == headers[:num_headers]


@given(
    value=CONTENTS,
    key=CONTENTS,
    headers=st.lists(st.tuples(NAMES, CONTENTS), max_size=6),
    reason=st.text(max_size=600),
)
def test_every_record_has_a_dead_letter(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], reason: str
) -> None:
    """Whatever its size: the place always, and all of it unless it says what was cut."""
    letter = set_aside(new_log(), value, key, headers, reason)
    assert (letter.source, letter.offset) == (SOURCE, 40)
    assert letter.reason == reason[:MAX_REASON_CHARACTERS]
    cut = {part.partition(" ")[0] for part in letter.truncated.split(", ") if part}
    assert (letter.value or b"") == (value or b"")[: KEPT_BYTES if "value" in cut else None]
    assert letter.key == (key[:KEPT_BYTES] if key and "key" in cut else key)
    written = tuple((name, content or b"") for name, content in headers)
    if "headers" in cut:
        assert letter.headers == written[: len(letter.headers)]
        assert headers_bytes(letter.headers) <= KEPT_BYTES
    else:
        assert letter.headers == written
    if cut:
        assert record_bytes(value, key, headers) > LIMIT


def test_a_topic_that_takes_less_than_the_log_stops_nothing(log: MemoryLog) -> None:
    """Only its answer tells: each letter is sent again by itself, as much of it as is taken."""
    log.max_topic_bytes["reaseq.dead"] = 10_000
    DeadLetters(log.writer(), "reaseq.dead").put(
        batch(b"x" * 20_000, b"small"), [Reject(0, "large"), Reject(1, "small")]
    )
    kept = {letter.offset: letter for letter in letters(log)}
    assert (kept[40].truncated, kept[40].value) == ("value 20000", b"x" * KEPT_BYTES)
    assert (kept[41].truncated, kept[41].value) == ("", b"small")


def test_what_is_not_a_dead_letter_is_an_error_of_its_own() -> None:
    """Somebody else's record in the topic is told from ours."""
    for headers in ([], [(REASON, b"x")], [(name, b"x") for name in OUR_HEADERS]):
        with pytest.raises(InputError, match="not a dead letter"):
            read_dead_letter(Record(0, 0, None, b"x", headers))


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
