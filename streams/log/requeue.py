"""Sending dead letters back to the topics they came from, as their producers sent them.

Only the key may be another one: the event of a user is sent to where that user lives.

A letter stays where it lies: the log forgets nothing. Sending it twice is harmless, as an event is
known by its user and id, and of an item the newest description counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from reaseq.errors import InputError
from streams.log.dead_letter_topic import StoredLetter
from streams.log.dead_letters import DeadLetter
from streams.log.ports import Headers, LogWriter, RecordTooLargeError
from streams.log.record_size import record_bytes

REQUEUES = "reaseq.requeues"
"""The header that counts how often a record was sent back; the last one of a record."""

FLUSH_RECORDS, FLUSH_BYTES = 1000, 8_000_000
"""Sent between two waits for the log: bounds what the writer holds."""


class SentBack(NamedTuple):
    """A record as it goes back to its topic."""

    topic: str
    value: bytes | None
    key: bytes | None
    headers: Headers


Send = Callable[[SentBack], None]
"""Raises RecordTooLargeError for what the log does not take."""


@dataclass
class RequeueReport:
    """What became of the letters."""

    sent: Counter[str] = field(default_factory=Counter)
    """Records by topic."""
    refused: Counter[str] = field(default_factory=Counter)
    """Letters by the reason for which they cannot be sent."""
    examples: dict[str, str] = field(default_factory=dict)
    """The id of the first letter of each such reason."""

    def refuse(self, letter_id: str, why: str) -> None:
        """Count one that cannot be sent."""
        self.refused[why] += 1
        self.examples.setdefault(why, letter_id)


def requeue(letters: Iterable[StoredLetter], topics: Collection[str], send: Send) -> RequeueReport:
    """Give each letter that can go back to one of `topics` to `send`; report on all."""
    report = RequeueReport()
    for stored in letters:
        try:
            record = sent_back(stored.letter, topics)
            send(record)
        except RecordTooLargeError:
            report.refuse(stored.id, "one header more makes it larger than the log takes")
        except InputError as error:
            report.refuse(stored.id, str(error))
        else:
            report.sent[record.topic] += 1
    return report


def requeue_into(
    writer: LogWriter, letters: Iterable[StoredLetter], topics: Collection[str]
) -> RequeueReport:
    """Send each letter that can go back; return when the log has them all."""
    num_records = num_bytes = 0

    def send(record: SentBack) -> None:
        nonlocal num_records, num_bytes
        writer.send(*record)
        num_records += 1
        num_bytes += record_bytes(record.value, record.key, record.headers)
        if num_records >= FLUSH_RECORDS or num_bytes >= FLUSH_BYTES:
            num_records = num_bytes = 0
            writer.flush()

    report = requeue(letters, topics, send)
    writer.flush()
    return report


def sent_back(letter: DeadLetter, topics: Collection[str]) -> SentBack:
    """The record that a letter was, with one requeue more. Raises InputError where it cannot be."""
    if letter.truncated:
        raise InputError(
            "truncated, as it was too large for the dead-letter topic: send it again from its "
            "source, or read the whole record there"
        )
    if letter.source.topic not in topics:
        raise InputError(
            "from a topic that the stream does not read: check topics.events and topics.items"
        )
    others = [header for header in letter.headers if header[0] != REQUEUES]
    count = str(num_requeues(letter) + 1).encode()
    key = _user_of(letter.value) or letter.key
    return SentBack(letter.source.topic, letter.value, key, (*others, (REQUEUES, count)))


def _user_of(value: bytes | None) -> bytes | None:
    """The key of an event; None for what names no user."""
    try:
        return msgspec.json.decode(value or b"", type=_Owned).user_id.encode()
    except (ValueError, RecursionError):  # half a character cannot be encoded
        return None


class _Owned(msgspec.Struct):
    """What all events have."""

    user_id: str


def num_requeues(letter: DeadLetter) -> int:
    """How often the record was sent back before it became this letter."""
    count = dict(letter.headers).get(REQUEUES, b"")
    with suppress(ValueError):
        return max(0, int(count[:18]))
    return 0
