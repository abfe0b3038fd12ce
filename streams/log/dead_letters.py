"""Where records go that cannot be used, so that nothing is lost and nothing stops.

A dead letter is the original key, value and headers, untouched, with further headers that say why
and where it came from. After a crash the same record may be set aside twice: (source topic,
partition, offset) is its identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from streams.log.codec import Reject
from streams.log.ports import Headers, LogWriter, Partition, Record, RecordBatch

REASON = "reaseq.reason"
SOURCE_TOPIC = "reaseq.source.topic"
SOURCE_PARTITION = "reaseq.source.partition"
SOURCE_OFFSET = "reaseq.source.offset"

ORIGINAL_BYTES = "reaseq.original_bytes"
"""Only on a dead letter that was too large for the log: how long value and key were together."""

KEPT_BYTES = 1024
"""How much is kept of a value, and if need be of a key, that is too large for the log."""

MAX_REASON_CHARACTERS = 500


class DeadLetter(NamedTuple):
    """A dead letter read back: why, where it came from and what it held."""

    reason: str
    source: Partition
    offset: int
    value: bytes | None


class DeadLetters:
    """Writes dead letters to their topic."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    def put(self, batch: RecordBatch, rejects: Iterable[Reject]) -> None:
        """Set the rejected records of a batch aside and wait until the log has them."""
        put_any = False
        for reject in rejects:
            self._send(batch.partition, batch.record(reject.position), reject.reason)
            put_any = True
        if put_any:
            self._writer.flush()

    def close(self) -> None:
        """Let the writer's connection go."""
        self._writer.close()

    def _send(self, source: Partition, record: Record, reason: str) -> None:
        ours = [
            (REASON, reason[:MAX_REASON_CHARACTERS].encode()),
            (SOURCE_TOPIC, source.topic.encode()),
            (SOURCE_PARTITION, str(source.number).encode()),
            (SOURCE_OFFSET, str(record.offset).encode()),
        ]
        for value, key, headers in _ever_smaller(record, ours):
            try:
                self._writer.send(self._topic, value, key, headers)
            except ValueError:
                continue
            return


def _ever_smaller(
    record: Record, ours: Headers
) -> Iterator[tuple[bytes | None, bytes | None, Headers]]:
    """The record whole, then with less and less of it, down to what any log takes.

    Only a topic made with a larger limit than ours brings a record that must be cut. It must not
    stop the stream, and the whole record still lies where the headers say. Ours come last: under
    one name the last one counts.
    """
    yield record.value, record.key, [*record.headers, *ours]
    size = str(len(record.value or b"") + len(record.key or b"")).encode()
    ours = [*ours, (ORIGINAL_BYTES, size)]
    start = (record.value or b"")[:KEPT_BYTES]
    yield start, record.key, [*record.headers, *ours]
    yield start, (record.key or b"")[:KEPT_BYTES], [*record.headers, *ours]
    yield start, (record.key or b"")[:KEPT_BYTES], ours


def read_dead_letter(record: Record) -> DeadLetter:
    """Parse a record of the dead-letter topic."""
    headers = dict(record.headers)
    return DeadLetter(
        reason=headers[REASON].decode(),
        source=Partition(headers[SOURCE_TOPIC].decode(), int(headers[SOURCE_PARTITION])),
        offset=int(headers[SOURCE_OFFSET]),
        value=record.value,
    )
