"""Where the records of Kafka's record batches lie, found by a compiled loop without copying any.

The layout is that of message format 2 (kafka.apache.org/documentation, "Record Batch"): behind its
header a batch holds records of varints, key, value and headers. Every length is checked against the
end of its batch, so that no content whatever leads the loop outside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.compiled import compiled
from reaseq.types import Bytes, Int64s

MAX_VARINT_BITS = 63
_CONTINUES, _SEVEN_BITS = 0x80, 0x7F


class Batches(NamedTuple):
    """Uncompressed batches in one buffer; each array has one entry a batch."""

    begins: Int64s
    """Where its first record begins."""
    ends: Int64s
    num_records: Int64s
    base_offsets: Int64s
    base_times_ms: Int64s
    append_times_ms: Int64s
    """When the broker took the batch where that is its records' time, else -1."""


class Records(NamedTuple):
    """One entry a record: key and value as in `ByteSlices`."""

    offsets: Int64s
    times_ms: Int64s
    key_starts: Int64s
    key_ends: Int64s
    value_starts: Int64s
    value_ends: Int64s
    header_starts: Int64s
    """Where the number of its headers stands."""


class MalformedBatchError(ValueError):
    """A batch is not what the format says, though its checksum is right."""


def find_records(data: Bytes, batches: Batches) -> Records:
    """The records of all batches in order. Raises MalformedBatchError."""
    num_records = int(batches.num_records.sum())
    records = Records(*(np.empty(num_records, np.int64) for _ in Records._fields))
    malformed = _walk(data, batches, records)
    if malformed >= 0:
        raise MalformedBatchError(
            f"the batch at offset {batches.base_offsets[malformed]} ends in the middle of a record"
        )
    return records


@compiled
def read_varint(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """A zigzag varint and the position behind it, which is -1 when it does not end in time."""
    encoded = np.uint64(0)
    for shift in range(0, MAX_VARINT_BITS + 7, 7):
        if position >= end:
            return 0, -1
        byte = data[position]
        position += 1
        encoded |= np.uint64(byte & _SEVEN_BITS) << np.uint64(shift)
        if not byte & _CONTINUES:
            half = np.int64(encoded >> np.uint64(1))
            return int(half ^ -np.int64(encoded & np.uint64(1))), position
    return 0, -1


@compiled
def _bytes_at(data: Bytes, position: int, end: int) -> tuple[int, int, int]:
    """Start and end of a byte string behind its length, and the position behind it or -1."""
    length, start = read_varint(data, position, end)
    if start < 0 or length > end - start:
        return 0, -1, -1
    if length < 0:
        return 0, -1, start
    return start, start + length, start + length


@compiled
def _walk(data: Bytes, batches: Batches, records: Records) -> int:
    """Fill in the records; return the batch that is malformed, -1 if none."""
    row = 0
    for batch in range(len(batches.begins)):
        position, batch_end = batches.begins[batch], batches.ends[batch]
        for _ in range(batches.num_records[batch]):
            length, position = read_varint(data, position, batch_end)
            if position < 0 or length < 1 or length > batch_end - position:
                return batch
            end = position + length
            # One byte of attributes that mean nothing yet.
            time_delta, position = read_varint(data, position + 1, end)
            if position < 0:
                return batch
            offset_delta, position = read_varint(data, position, end)
            if position < 0:
                return batch
            key_start, key_end, position = _bytes_at(data, position, end)
            if position < 0:
                return batch
            value_start, value_end, position = _bytes_at(data, position, end)
            if position < 0 or position >= end:
                return batch
            append_time_ms = batches.append_times_ms[batch]
            records.offsets[row] = batches.base_offsets[batch] + offset_delta
            records.times_ms[row] = (
                append_time_ms if append_time_ms >= 0 else batches.base_times_ms[batch] + time_delta
            )
            records.key_starts[row], records.key_ends[row] = key_start, key_end
            records.value_starts[row], records.value_ends[row] = value_start, value_end
            records.header_starts[row] = position
            position = end
            row += 1
    return -1
