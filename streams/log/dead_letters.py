"""Where records go that cannot be used, so that nothing is lost and nothing stops.

A dead letter is the original key, value and headers, and behind them headers of ours that say why
and where it came from. One that is too large for the log is cut: the whole record still lies where
the headers say, as long as the source keeps it. After a crash the same record may be set aside
twice: (source topic, partition, offset) is its identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reaseq.errors import InputError
from streams.log.codec import Reject
from streams.log.ports import (
    Headers,
    LogWriter,
    Partition,
    Record,
    RecordBatch,
    RecordTooLargeError,
)
from streams.log.record_size import headers_bytes

REASON = "reaseq.reason"
SOURCE_TOPIC = "reaseq.source.topic"
SOURCE_PARTITION = "reaseq.source.partition"
SOURCE_OFFSET = "reaseq.source.offset"
TRUNCATED = "reaseq.truncated"
"""What was cut, with the bytes it had, such as "value 5000000, key 4194000"; empty if nothing."""

OUR_HEADERS = (REASON, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, TRUNCATED)
"""The last headers of every dead letter, so that none of the producer's is taken for one of them.
Kafka's own clients, asked for a header by name, give the last one too."""

KEPT_BYTES = 1024
"""How much is kept of a value, a key or the headers that are too large for the log."""

MAX_REASON_CHARACTERS = 500


class DeadLetter(NamedTuple):
    """A dead letter read back: why, where it came from and what it held."""

    reason: str
    source: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    """The producer's."""
    truncated: str = ""
    """What was cut because the log did not take it; see `TRUNCATED`."""


class DeadLetters:
    """Writes dead letters to their topic."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    def put(self, batch: RecordBatch, rejects: Iterable[Reject]) -> None:
        """Set the rejected records of a batch aside and wait until the log has them.

        Raises LogError when it does not take them, never because of their size.
        """
        rejects = list(rejects)
        if not rejects:
            return
        for reject in rejects:
            self._send(_versions(batch, reject))
        try:
            self._writer.flush()
        except RecordTooLargeError:
            # Made by others, the topic takes less than the settings say.
            for reject in rejects:
                self._send(_versions(batch, reject), flush_each=True)

    def close(self) -> None:
        """Let the writer's connection go."""
        self._writer.close()

    def _send(self, versions: Sequence[Record], flush_each: bool = False) -> None:
        """Send the first version that the log takes."""
        for number, record in enumerate(versions, start=1):
            try:
                self._writer.send(self._topic, record.value, record.key, record.headers)
                if flush_each:
                    self._writer.flush()
                return
            except RecordTooLargeError:
                if number == len(versions):
                    raise


def _versions(batch: RecordBatch, reject: Reject) -> list[Record]:
    """The dead letter of a record, whole and then cut further and further.

    The last one fits into what any topic takes.
    """
    record = batch.record(reject.position)
    cut: list[str] = []
    versions = [_letter(batch.partition, record, reject.reason, cut)]
    for name in ("value", "key"):
        content = getattr(record, name)
        if content is not None and len(content) > KEPT_BYTES:
            cut.append(f"{name} {len(content)}")
            record = record._replace(**{name: content[:KEPT_BYTES]})
            versions.append(_letter(batch.partition, record, reject.reason, cut))
    if (num_bytes := headers_bytes(record.headers)) > KEPT_BYTES:
        cut.append(f"headers {num_bytes}")
        record = record._replace(headers=tuple(_first(record.headers)))
        versions.append(_letter(batch.partition, record, reject.reason, cut))
    return versions


def _letter(source: Partition, record: Record, reason: str, cut: Sequence[str]) -> Record:
    ours = _our_headers(source, record.offset, reason, ", ".join(cut))
    return record._replace(headers=(*record.headers, *ours))


def _our_headers(source: Partition, offset: int, reason: str, truncated: str) -> Headers:
    texts = (
        reason[:MAX_REASON_CHARACTERS],
        source.topic,
        str(source.number),
        str(offset),
        truncated,
    )
    pairs = zip(OUR_HEADERS, texts, strict=True)
    return tuple((name, text.encode(errors="backslashreplace")) for name, text in pairs)


def _first(headers: Headers) -> Iterator[tuple[str, bytes]]:
    """As many headers as may be kept, the first ones before others."""
    left = KEPT_BYTES
    for header in headers:
        left -= headers_bytes([header])
        if left < 0:
            return
        yield header


def read_dead_letter(record: Record) -> DeadLetter:
    """Parse a record of the dead-letter topic. Raises InputError for one that is not ours."""
    num_theirs = max(0, len(record.headers) - len(OUR_HEADERS))
    ours = dict(record.headers[num_theirs:])
    try:
        reason, topic, number, offset, truncated = (ours[name].decode() for name in OUR_HEADERS)
        source = Partition(topic, int(number))
        theirs = tuple(record.headers[:num_theirs])
        return DeadLetter(reason, source, int(offset), record.key, record.value, theirs, truncated)
    except (KeyError, ValueError) as error:
        raise InputError(f"not a dead letter of reaseq: {error!r}") from error
