"""The compiled loop finds what the client itself finds, and no content leads it astray."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from streams.log.kafka_columns import WholeBatch, columns_of
from streams.log.ports import Partition, Record
from streams.log.record_walk import Batches, MalformedBatchError, find_records, read_varint

PARTITION = Partition("events", 0)

records = st.lists(
    st.tuples(
        st.integers(0, 2**41),
        st.none() | st.binary(max_size=300),
        st.none() | st.binary(max_size=300),
        st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3),
    ),
    min_size=1,
    max_size=20,
)


def encoded(given_records: Sequence[Any], codec: int = 0) -> bytearray:
    """A batch as a broker keeps it, from offset 0 on."""
    builder = DefaultRecordBatchBuilder(
        2,
        codec,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**30,
    )
    for offset, (time_ms, key, value, headers) in enumerate(given_records):
        builder.append(offset, time_ms, key, value, headers)
    return bytearray(builder.build())


def whole(batch: bytearray, from_offset: int = 0) -> WholeBatch:
    return WholeBatch(DefaultRecordBatch(batch), from_offset)


@given(records, st.sampled_from([0, 1, 2, 3, 4]))
def test_columns_are_what_the_client_reads(given_records: Sequence[Any], codec: int) -> None:
    """Of every record all fields, whatever the codec of its batch."""
    batch = encoded(given_records, codec)
    expected = [
        Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
        for r in DefaultRecordBatch(batch)
    ]
    found = columns_of(PARTITION, [whole(batch)])
    assert [found.record(position) for position in range(len(found))] == expected
    assert found.next_offset == len(given_records)


@given(records, st.integers(0, 25))
def test_what_was_read_before_is_left_out(given_records: Sequence[Any], start: int) -> None:
    """Of several batches, from the position on."""
    start = min(start, len(given_records) - 1)
    found = columns_of(PARTITION, [whole(encoded(given_records), start)])
    assert found.offsets.tolist() == list(range(start, len(given_records)))
    assert found.values.to_pylist() == [record[2] for record in given_records[start:]]


def test_batches_that_follow_each_other_are_one() -> None:
    """Their buffers are joined, their offsets their own."""
    one = [(5, b"k", b"v", [])]
    second = encoded(one)
    second[:8] = (7).to_bytes(8, "big")
    found = columns_of(PARTITION, [whole(encoded(one)), whole(second)])
    assert [found.record(n) for n in range(2)] == [
        Record(0, 5, b"k", b"v"),
        Record(7, 5, b"k", b"v"),
    ]
    assert found.next_offset == 8


def test_a_broker_may_set_the_times() -> None:
    """Then all records of a batch have its own."""
    batch = DefaultRecordBatch(encoded([(5, b"k", b"v", []), (9, b"k", b"v", [])]))
    taken = WholeBatch(batch, 0)
    taken.append_time_ms = 77
    assert columns_of(PARTITION, [taken]).timestamps_ms.tolist() == [77, 77]


@pytest.mark.parametrize("seed", range(300))
def test_no_content_leads_the_loop_astray(seed: int) -> None:
    """Bytes changed, cut off or made up: either records within the buffer, or an error."""
    rng = random.Random(seed)
    batch = whole(encoded([(n, b"key", b"value" * n, [("h", b"x")]) for n in range(10)]))
    content = bytearray(batch.content)
    for _ in range(rng.randrange(1, 5)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    batch.content = memoryview(content[: rng.randrange(len(content) + 1)])
    batch.num_records = rng.choice([10, 1, 1000])
    try:
        found = columns_of(PARTITION, [batch])
    except CorruptRecordError as error:
        assert "ends in the middle of a record" in str(error)  # noqa: PT017
        return
    for column in (found.values, found.keys):
        assert ((column.ends <= len(batch.content)) & (column.starts >= 0)).all()


def test_a_malformed_batch_is_named() -> None:
    """By its offset, so that a person can look at it."""
    one = np.array([40])
    batches = Batches(np.array([0]), np.array([3]), np.array([1]), one, one, one)
    with pytest.raises(MalformedBatchError, match="offset 40"):
        find_records(np.array([200, 200, 200], np.uint8), batches)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_varint_is_read_to_its_end_and_not_beyond(number: int) -> None:
    """Every number of 64 bits; cut off anywhere it is no number."""
    zigzag, content = (number << 1) ^ (number >> 63), bytearray()
    while zigzag >= 0x80:
        content.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    content.append(zigzag)
    data = np.frombuffer(bytes(content), np.uint8)
    assert read_varint(data, 0, len(data)) == (number, len(data))
    assert all(read_varint(data, 0, end)[1] == -1 for end in range(len(data)))
