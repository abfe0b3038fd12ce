"""Keys are part of the stored format: the same string has the same key, whatever holds it."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.sequences.hashing import byte_slices, hash64

MASK = 2**64 - 1


def slow_key(text: str) -> int:
    """The definition, byte by byte: FNV-1a, then one mix."""
    key = 0xCBF29CE484222325
    for byte in text.encode():
        key = ((key ^ byte) * 0x100000001B3) & MASK
    key = ((key ^ (key >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    key ^= key >> 33
    return key - 2**64 if key >= 2**63 else key


@given(st.lists(st.text(max_size=12), max_size=12))
@settings(deadline=None)
def test_keys_are_the_defined_ones(texts: list[str]) -> None:
    """The compiled loop over buffers gives what the definition gives, in order."""
    assert hash64(pa.array(texts, pa.string())).tolist() == [slow_key(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", -1388729422223754158),
        ("a", -1332659915518795187),
        ("536365/85123A#0", 7512449343325742227),
        ("ü", -3531314334134902596),
    ],
)
def test_keys_never_change(text: str, key: int) -> None:
    """Stored sequences meet their events again only under these very numbers."""
    assert hash64(pa.array([text])).tolist() == [key]


@given(st.lists(st.text(max_size=5), min_size=1, max_size=9), st.data())
@settings(deadline=None)
def test_keys_do_not_depend_on_how_the_column_is_held(
    texts: list[str], data: st.DataObject
) -> None:
    """Sliced, in chunks, or as large strings: the keys are those of the plain column."""
    cut = data.draw(st.integers(0, len(texts)))
    column = pa.array(texts, pa.string())
    keys = hash64(column).tolist()
    assert hash64(column[cut:]).tolist() == keys[cut:]
    assert hash64(pa.chunked_array([column[:cut], column[cut:]])).tolist() == keys
    large = column.cast(pa.large_string())
    assert hash64(large[cut:]).tolist() == keys[cut:]


def test_an_empty_column_has_no_keys() -> None:
    """No rows, no chunks: no keys, and the type stays."""
    assert hash64(pa.array([], pa.string())).dtype == "int64"
    assert len(hash64(pa.chunked_array([], pa.string()))) == 0


@given(st.lists(st.binary(max_size=5), max_size=9), st.data())
@settings(deadline=None)
def test_byte_slices_are_the_bytes_of_the_column(values: list[bytes], data: st.DataObject) -> None:
    """Row i lies between offset i and the next one, however the column is held."""
    cut = data.draw(st.integers(0, len(values)))
    column = pa.array(values, pa.binary())
    for held in (column[cut:], pa.chunked_array([column[cut:]], pa.binary())):
        buffer, offsets = byte_slices(held)
        found = [bytes(buffer[a:b]) for a, b in pairwise(offsets)]
        assert found == values[cut:]


def test_a_null_has_no_bytes() -> None:
    """A column with a hole is a defect of the caller."""
    with pytest.raises(AssertionError, match="without nulls"):
        byte_slices(pa.array(["a", None]))


def test_many_ids_that_differ_little_have_different_keys() -> None:
    """Numbered ids, as shops give them, do not collide."""
    column = pa.array([f"536365/85123A#{number}" for number in range(100_000)])
    assert len(set(hash64(column).tolist())) == 100_000
