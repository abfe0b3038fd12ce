"""Records as they come out of the log: many at once, by column.

A stream looks at every value but at hardly any other field of a single record, so a batch has one
column per field and makes a `Record` only on demand, for the few that become dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from reaseq.types import Int64s
from streams.log.byte_slices import ByteSlices

Headers = Sequence[tuple[str, bytes]]

NO_TIMESTAMP_MS = -1
"""Kafka's own sign for a record whose producer gave no time."""


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class Record(NamedTuple):
    """One message as it lies in the log. `timestamp_ms` is when it was produced."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def num_bytes(value: bytes | None, key: bytes | None, headers: Headers) -> int:
    """How much a record holds, without the framing of the log."""
    in_headers = sum(len(name.encode()) + len(content or b"") for name, content in headers)
    return len(value or b"") + len(key or b"") + in_headers


def _no_headers(position: int) -> Headers:
    return ()


@dataclass(frozen=True, eq=False)
class RecordBatch:
    """Records of one partition in offset order; the next one to read is at `next_offset`.

    `values` and `keys` say where in the fetched buffer each lies, so that neither side of the port
    makes an object per record. Headers are asked for by position, so that nobody parses those that
    nobody reads.
    """

    partition: Partition
    values: ByteSlices
    keys: ByteSlices
    offsets: Int64s
    timestamps_ms: Int64s
    next_offset: int
    headers_of: Callable[[int], Headers] = _no_headers

    @classmethod
    def from_records(
        cls, partition: Partition, records: Sequence[Record], next_offset: int
    ) -> RecordBatch:
        """Columns of records that are objects already."""
        return cls(
            partition,
            values=ByteSlices.of([record.value for record in records]),
            keys=ByteSlices.of([record.key for record in records]),
            offsets=np.array([record.offset for record in records], np.int64),
            timestamps_ms=np.array([record.timestamp_ms for record in records], np.int64),
            next_offset=next_offset,
            headers_of=lambda position: records[position].headers,
        )

    def __len__(self) -> int:
        """The number of records."""
        return len(self.offsets)

    def split(self, num_records: int) -> tuple[RecordBatch, RecordBatch]:
        """The first records and the rest, on the same buffers; there must be a rest."""
        next_offset = int(self.offsets[num_records])
        return self._slice(0, num_records, next_offset), self._slice(
            num_records, len(self), self.next_offset
        )

    def up_to(self, next_offset: int) -> RecordBatch:
        """The same records, followed by some that nobody may see."""
        return replace(self, next_offset=next_offset)

    def _slice(self, start: int, end: int, next_offset: int) -> RecordBatch:
        chosen = slice(start, end)
        headers_of = self.headers_of
        return RecordBatch(
            self.partition,
            self.values.slice(chosen),
            self.keys.slice(chosen),
            self.offsets[chosen],
            self.timestamps_ms[chosen],
            next_offset,
            lambda position: headers_of(start + position),
        )

    def record(self, position: int) -> Record:
        """The record at a position of the columns, whole."""
        return Record(
            int(self.offsets[position]),
            int(self.timestamps_ms[position]),
            self.keys[position],
            self.values[position],
            self.headers_of(position),
        )
