"""Records as they come out of the log: many at once, by column.

A stream looks at every value but at hardly any other field of a single record, so a batch has one
column per field and makes a `Record` only on demand, for the few that become dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from reaseq.types import Int64s

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


def _no_headers(position: int) -> Headers:
    return ()


@dataclass(frozen=True, eq=False)
class RecordBatch:
    """Records of one partition in offset order; the next one to read is at `next_offset`.

    `values` and `keys` are Arrow arrays of type large_binary, null where a record has none. Arrow
    rather than a list of bytes, because it is what both sides of the port can use without an object
    per record: a fetch that copies values into one buffer wraps it as it is, and a decoder takes
    either the buffer or `to_pylist()` (20 ns per record). Large, because a poll may exceed 2 GiB.
    Headers are asked for by position, so that nobody parses those that nobody reads.
    """

    partition: Partition
    values: pa.Array
    keys: pa.Array
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
            values=pa.array([record.value for record in records], pa.large_binary()),
            keys=pa.array([record.key for record in records], pa.large_binary()),
            offsets=np.array([record.offset for record in records], np.int64),
            timestamps_ms=np.array([record.timestamp_ms for record in records], np.int64),
            next_offset=next_offset,
            headers_of=lambda position: records[position].headers,
        )

    def __len__(self) -> int:
        """The number of records."""
        return len(self.offsets)

    def record(self, position: int) -> Record:
        """The record at a position of the columns, whole."""
        return Record(
            int(self.offsets[position]),
            int(self.timestamps_ms[position]),
            self.keys[position].as_py(),
            self.values[position].as_py(),
            self.headers_of(position),
        )
