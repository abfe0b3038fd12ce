"""What was set aside goes back to its topic as it came, or it is said why not."""

from __future__ import annotations

import pytest

from streams.log.dead_letter_topic import StoredLetter
from streams.log.dead_letters import DeadLetter
from streams.log.memory import MemoryLog
from streams.log.ports import Headers, Partition, Record, Topic
from streams.log.requeue import FLUSH_RECORDS, REQUEUES, num_requeues, requeue_into, sent_back

TOPICS = ("events", "items")
EVENT = b'{"event_id":"e","user_id":"bob","item_id":"i","event_type":"view","event_time_ms":1}'


def letter(
    value: bytes | None = EVENT,
    key: bytes | None = b"ann",
    headers: Headers = (),
    reason: str = "bad",
    topic: str = "events",
    truncated: str = "",
) -> DeadLetter:
    return DeadLetter(reason, Partition(topic, 0), 7, key, value, headers, truncated)


def stored(*letters: DeadLetter) -> list[StoredLetter]:
    return [StoredLetter(0, position, 0, one) for position, one in enumerate(letters)]


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog(20_000)
    log.create_topics([Topic("events", 1), Topic("items", 1)])
    return log


def written(log: MemoryLog, topic: str = "events") -> list[Record]:
    return log.read(Partition(topic, 0), 0, 10_000)


def test_a_record_goes_back_as_it_came(log: MemoryLog) -> None:
    """Key, value and headers to the topic it came from, and a header that counts."""
    headers = (("traceparent", b"00-abc"), ("tenant", b"x"))
    both = letter(b"\xff", None, headers), letter(b"{}", b"mug", topic="items")
    report = requeue_into(log.writer(), stored(*both), TOPICS)
    assert report.sent == {"events": 1, "items": 1}
    (event,), (item,) = written(log), written(log, "items")
    assert (event.key, event.value) == (None, b"\xff")
    assert event.headers == (*headers, (REQUEUES, b"1"))
    assert (item.key, item.value) == (b"mug", b"{}")


@pytest.mark.parametrize("key", [None, b"ann", b"bob"])
def test_an_event_goes_back_to_where_its_user_belongs(key: bytes | None) -> None:
    """Whatever key its producer gave it, if any."""
    assert sent_back(letter(key=key), TOPICS).key == b"bob"


@pytest.mark.parametrize(
    ("before", "after"), [(b"1", b"2"), (b"41", b"42"), (b"often", b"1"), (b"-5", b"1")]
)
def test_the_header_counts_on(before: bytes, after: bytes) -> None:
    """One that is set aside again has one more; what is not a number begins at one."""
    again = letter(headers=((REQUEUES, b"0"), ("tenant", b"x"), (REQUEUES, before)))
    assert sent_back(again, TOPICS).headers == (("tenant", b"x"), (REQUEUES, after))
    assert num_requeues(again) == int(after) - 1


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (letter(truncated="value 5000000"), "truncated"),
        (letter(topic="elsewhere"), "topics.events"),
        (letter(b"x" * 100_000), "larger than the log takes"),
    ],
)
def test_what_cannot_go_back_is_refused_in_words(
    log: MemoryLog, refused: DeadLetter, why: str
) -> None:
    """Counted with its reason and an example, and the others go on."""
    report = requeue_into(log.writer(), stored(letter(), refused, refused, letter()), TOPICS)
    assert report.sent == {"events": 2}
    ((reason, num),) = report.refused.items()
    assert (num, report.examples[reason]) == (2, "0@1")
    assert why in reason
    assert len(written(log)) == 2


def test_the_log_is_waited_for_again_and_again(log: MemoryLog) -> None:
    """However many there are, the writer never holds more than so many."""
    writer = log.writer()
    flushed: list[int] = []
    writer.flush = lambda: flushed.append(len(written(log)))  # type: ignore[method-assign]
    requeue_into(writer, stored(*[letter()] * (2 * FLUSH_RECORDS + 1)), TOPICS)
    assert flushed == [FLUSH_RECORDS, 2 * FLUSH_RECORDS, 2 * FLUSH_RECORDS + 1]
