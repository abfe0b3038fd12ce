"""A key's partition is the one that Kafka's Java client chooses, for one key and for a column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.partitioner import murmur2

from streams.log.partitioner import partition_of, partitions_of

ONE_PARTITION_PER_HASH = 2**31
"""With as many partitions the number is the hash itself."""

# From Kafka's own test (`UtilsTest.testMurmur2`), as signed 32-bit numbers.
JAVA_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA_HASHES.items())
def test_hashes_are_those_of_the_java_client(key: bytes, signed: int) -> None:
    """The fixed vectors of Kafka's own tests, without their sign bit."""
    assert partition_of(key, ONE_PARTITION_PER_HASH) == signed & 0x7FFFFFFF


@given(st.binary(max_size=40), st.integers(1, 50))
@settings(deadline=None)
def test_every_key_goes_where_the_python_client_sends_it(key: bytes, num_partitions: int) -> None:
    """Any bytes, also none, and every length of the last word."""
    assert partition_of(key, num_partitions) == (murmur2(key) & 0x7FFFFFFF) % num_partitions


@given(
    st.lists(st.text(max_size=12), max_size=12),
    st.integers(1, 9),
    st.sampled_from([pa.string(), pa.large_string(), pa.binary()]),
    st.data(),
)
@settings(deadline=None)
def test_a_column_gives_what_each_of_its_keys_gives(
    texts: list[str], num_partitions: int, kind: pa.DataType, data: st.DataObject
) -> None:
    """Sliced, in chunks, of any string type: the partition depends on the key alone."""
    keys = [text.encode() for text in texts]
    expected = [partition_of(key, num_partitions) for key in keys]
    column = pa.array(keys, pa.binary()).cast(kind)
    cut = data.draw(st.integers(0, len(keys)))
    chunks = pa.chunked_array([column[:cut], column[cut:]])
    assert partitions_of(column, num_partitions).to_pylist() == expected
    assert partitions_of(column[cut:], num_partitions).to_pylist() == expected[cut:]
    assert partitions_of(chunks, num_partitions).to_pylist() == expected
    assert set(expected) <= set(range(num_partitions))


def test_keys_spread_over_the_partitions() -> None:
    """None of ten partitions of a thousand users is nearly empty or nearly full."""
    users = pa.array([f"{number}" for number in range(12_000, 13_000)])
    counts = np.bincount(np.asarray(partitions_of(users, 10)), minlength=10)
    assert counts.min() > 60
    assert counts.max() < 140


def test_a_missing_key_is_refused() -> None:
    """Where a record without a key lies is chance, so nobody may compute it."""
    with pytest.raises(AssertionError, match="without nulls"):
        partitions_of(pa.array(["ann", None]), 4)
