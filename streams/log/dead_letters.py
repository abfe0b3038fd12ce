"""Where records go that cannot be used, so that nothing is lost and nothing stops.

A dead letter is the original key and value, untouched, with headers that say why and where it came
from. After a crash the same record may be set aside twice: (source topic, partition, offset) is its
identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streams.log.codec import Reject
from streams.log.ports import LogWriter, Partition, Record, RecordBatch

REASON = "reaseq.reason"
SOURCE_TOPIC = "reaseq.source.topic"
SOURCE_PARTITION = "reaseq.source.partition"
SOURCE_OFFSET = "reaseq.source.offset"

ORIGINAL_BYTES = "reaseq.original_bytes"
"""Only on a dead letter that was too large for the log: how long the value was."""

KEPT_BYTES = 1024
"""How much of a value is kept that is too large for the log."""

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
        headers = [
            (REASON, reason[:MAX_REASON_CHARACTERS].encode()),
            (SOURCE_TOPIC, source.topic.encode()),
            (SOURCE_PARTITION, str(source.number).encode()),
            (SOURCE_OFFSET, str(record.offset).encode()),
        ]
        try:
            self._writer.send(self._topic, record.value, record.key, headers)
        except ValueError:
            # Only a topic made with a larger limit than ours brings such a record. It must not stop
            # the stream, and the whole record still lies where the headers say.
            size = str(len(record.value or b"")).encode()
            start = (record.value or b"")[:KEPT_BYTES]
            self._writer.send(self._topic, start, record.key, [*headers, (ORIGINAL_BYTES, size)])


def read_dead_letter(record: Record) -> DeadLetter:
    """Parse a record of the dead-letter topic."""
    headers = dict(record.headers)
    return DeadLetter(
        reason=headers[REASON].decode(),
        source=Partition(headers[SOURCE_TOPIC].decode(), int(headers[SOURCE_PARTITION])),
        offset=int(headers[SOURCE_OFFSET]),
        value=record.value,
    )
