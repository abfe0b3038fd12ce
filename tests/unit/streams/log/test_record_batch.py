"""A batch is columns; a record is made of them on demand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streams.log.record_batch import Headers, Partition, Record, RecordBatch

PARTITION = Partition("events", 2)
RECORDS = [
    Record(7, 1_000, b"ann", b"{}", (("why", b"because"),)),
    Record(8, 1_001, None, b""),
    Record(11, -1, b"", None),
]


def test_columns_hold_what_the_records_held() -> None:
    """A missing key or value is null, an empty one is empty; offsets may have gaps."""
    batch = RecordBatch.from_records(PARTITION, RECORDS, 12)
    assert batch.values.to_pylist() == [b"{}", b"", None]
    assert batch.keys.to_pylist() == [b"ann", None, b""]
    assert batch.offsets.tolist() == [7, 8, 11]
    assert batch.timestamps_ms.tolist() == [1_000, 1_001, -1]
    assert (len(batch), batch.next_offset) == (3, 12)


def test_a_record_comes_back_whole() -> None:
    """By its position in the batch, not by its offset, with plain Python values."""
    batch = RecordBatch.from_records(PARTITION, RECORDS, 12)
    assert [batch.record(position) for position in range(len(batch))] == RECORDS
    assert type(batch.record(0).offset) is int


def test_columns_have_their_types_without_any_record() -> None:
    """An empty batch can be decoded like any other."""
    batch = RecordBatch.from_records(PARTITION, [], 5)
    assert len(batch) == 0
    assert batch.values.type == batch.keys.type == pa.large_binary()
    assert batch.offsets.dtype == batch.timestamps_ms.dtype == np.int64


def test_values_can_be_slices_of_one_buffer() -> None:
    """A fetch that copies values into one buffer needs no object per record."""
    offsets = pa.py_buffer(np.array([0, 2, 5], np.int64))
    values = pa.Array.from_buffers(pa.large_binary(), 2, [None, offsets, pa.py_buffer(b"abcde")])
    keys = pa.nulls(2, pa.large_binary())
    batch = RecordBatch(PARTITION, values, keys, np.arange(2), np.zeros(2, np.int64), 2)
    assert [batch.record(n).value for n in range(2)] == [b"ab", b"cde"]


def test_headers_are_looked_at_only_when_a_record_is_asked_for() -> None:
    """Nobody parses the headers of the records that decode."""
    asked: list[int] = []

    def headers_of(position: int) -> Headers:
        asked.append(position)
        return (("n", b"%d" % position),)

    columns = [pa.array([b"x"] * 3, pa.large_binary())] * 2
    batch = RecordBatch(PARTITION, *columns, np.arange(3), np.zeros(3, np.int64), 3, headers_of)
    assert batch.values.to_pylist() == [b"x"] * 3
    assert asked == []
    assert batch.record(1).headers == (("n", b"1"),)
    assert asked == [1]
