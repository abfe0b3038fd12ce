"""A batch is columns; a record is made of them on demand."""

from __future__ import annotations

import numpy as np

from streams.log.byte_slices import ByteSlices
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
    assert batch.values.to_pylist() == batch.keys.to_pylist() == []
    assert batch.offsets.dtype == batch.timestamps_ms.dtype == np.int64


def test_values_can_be_slices_of_one_buffer() -> None:
    """A fetch that copies values into one buffer needs no object per record."""
    data = np.frombuffer(b"ab..cde", np.uint8)
    values = ByteSlices(data, np.array([4, 0]), np.array([7, 2]))
    keys = ByteSlices(data, np.array([0, 2]), np.array([-1, 2]))
    batch = RecordBatch(PARTITION, values, keys, np.arange(2), np.zeros(2, np.int64), 2)
    assert [batch.record(n).value for n in range(2)] == [b"cde", b"ab"]
    assert [batch.record(n).key for n in range(2)] == [None, b""]


def test_a_batch_can_be_taken_in_two_parts() -> None:
    """Both hold what the whole held, headers too; the first ends where the rest begins."""
    batch = RecordBatch.from_records(PARTITION, RECORDS, 12)
    first, rest = batch.split(1)
    assert (first.next_offset, rest.next_offset) == (8, 12)
    assert [first.record(0), rest.record(0), rest.record(1)] == RECORDS
    first, rest = batch.split(2)
    assert (first.next_offset, len(rest), rest.record(0).offset) == (11, 1, 11)


def test_headers_are_looked_at_only_when_a_record_is_asked_for() -> None:
    """Nobody parses the headers of the records that decode."""
    asked: list[int] = []

    def headers_of(position: int) -> Headers:
        asked.append(position)
        return (("n", b"%d" % position),)

    columns = [ByteSlices.of([b"x"] * 3)] * 2
    batch = RecordBatch(PARTITION, *columns, np.arange(3), np.zeros(3, np.int64), 3, headers_of)
    assert batch.values.to_pylist() == [b"x"] * 3
    assert asked == []
    assert batch.record(1).headers == (("n", b"1"),)
    assert asked == [1]
