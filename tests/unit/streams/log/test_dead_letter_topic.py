"""The dead-letter topic is read whole or at one place, as it stood when it was opened."""

from __future__ import annotations

import pytest

from reaseq.errors import InputError, NotReadyError
from streams.log.codec import Reject
from streams.log.dead_letter_topic import RECORDS_PER_POLL, DeadLetterTopic, Wanted, parse_id
from streams.log.dead_letters import DeadLetters
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Record, RecordBatch, Topic

TOPIC = "dead"


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic(TOPIC, 1)])
    return log


def put(log: MemoryLog, topic: str, reason: str, num: int = 1) -> None:
    """So many dead letters of records that came from a topic."""
    records = [Record(n, 0, b"ann", b"%d" % n) for n in range(num)]
    batch = RecordBatch.from_records(Partition(topic, 3), records, num)
    DeadLetters(log.writer(), TOPIC).put(batch, [Reject(n, reason) for n in range(num)])


def test_all_letters_come_oldest_first(log: MemoryLog) -> None:
    """More than one fetch brings, each with its id; what comes later is not waited for."""
    num = 2 * RECORDS_PER_POLL + 1
    put(log, "events", "bad", num)
    topic = DeadLetterTopic(log, TOPIC)
    put(log, "events", "later")
    read = list(topic.read())
    assert [stored.id for stored in read] == [f"0@{n}" for n in range(num)]
    assert [stored.letter.value for stored in read] == [b"%d" % n for n in range(num)]
    assert list(topic.read()) == read


def test_letters_are_chosen_by_reason_source_and_time(log: MemoryLog) -> None:
    """Each filter by itself, and both together."""
    put(log, "events", "Not UTF-8")
    put(log, "items", "not UTF-8")
    put(log, "events", "nested too deeply")
    topic = DeadLetterTopic(log, TOPIC)
    times = [stored.set_aside_ms for stored in topic.read()]

    def ids(wanted: Wanted) -> list[str]:
        return [stored.id for stored in topic.read(wanted)]

    assert ids(Wanted(reason="utf-8")) == ["0@0", "0@1"]
    assert ids(Wanted(topic="events")) == ["0@0", "0@2"]
    assert ids(Wanted(reason="utf-8", topic="events")) == ["0@0"]
    assert ids(Wanted(since_ms=times[0])) == ["0@0", "0@1", "0@2"]
    assert ids(Wanted(since_ms=times[-1] + 1)) == []


def test_records_of_others_are_counted_and_passed_over(log: MemoryLog) -> None:
    """One that somebody else wrote hides none of ours."""
    log.append(Partition(TOPIC, 0), b"hello", None, [])
    put(log, "events", "bad")
    topic = DeadLetterTopic(log, TOPIC)
    for _ in range(2):
        assert [stored.id for stored in topic.read()] == ["0@1"]
        assert topic.num_foreign == 1
    with pytest.raises(InputError, match="not a dead letter"):
        topic.at("0@0")


def test_one_letter_is_read_at_its_place(log: MemoryLog) -> None:
    """Without reading the others; a place that holds none is said so."""
    put(log, "events", "bad", 5)
    topic = DeadLetterTopic(log, TOPIC)
    assert topic.at("0@3").letter.value == b"3"
    for nowhere in ("0@5", "1@0"):
        with pytest.raises(InputError, match=f"nothing at {nowhere}.*list"):
            topic.at(nowhere)


@pytest.mark.parametrize("text", ["", "3", "a@b", "0@-1", "0@1@2", "٣@1", "1" * 30 + "@1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    """With the form that an id has."""
    with pytest.raises(InputError, match="PARTITION@OFFSET"):
        parse_id(text)


def test_a_missing_topic_is_named(log: MemoryLog) -> None:
    """With the setting."""
    with pytest.raises(NotReadyError, match=r"no topic absent.*topics\.dead_letters"):
        DeadLetterTopic(log, "absent")
