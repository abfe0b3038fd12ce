"""Codes are a dictionary of strings, whatever the strings are and however many."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.sequences import codes as module
from reaseq.sequences.codes import UNKNOWN, Codes

names = st.lists(st.text(max_size=5) | st.sampled_from(["", "a", "aa", "ü", "\0"]), max_size=200)


def strings(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


@given(portions=st.lists(names, max_size=4), asked=names)
@settings(max_examples=100)
def test_codes_are_those_of_a_dictionary(portions: list[list[str]], asked: list[str]) -> None:
    """In order of first sight, in any portions; the strings come back from them."""
    codes, expected = Codes(), dict[str, int]()
    for portion in portions:
        found = codes.encode(strings(portion)).tolist()
        assert found == [expected.setdefault(name, len(expected)) for name in portion]
        assert codes.take(np.array(found, np.int64)).to_pylist() == portion
    assert codes.find(strings(asked)).tolist() == [expected.get(n, UNKNOWN) for n in asked]
    assert len(codes) == len(expected)


def test_a_column_may_be_a_slice_in_pieces() -> None:
    """What Arrow cuts out of a larger column is read from where it begins."""
    column = pa.chunked_array([strings(["x", "tea", "mug"]).slice(1), strings(["tea"])])
    assert Codes().encode(column).tolist() == [0, 1, 0]


def test_many_strings_of_any_length_find_room() -> None:
    """Bytes, strings and table grow independently of each other."""
    values = [f"{number}{'-' * (number % 97)}" for number in range(20_000)]
    codes = Codes()
    assert codes.encode(strings(values)).tolist() == list(range(20_000))
    assert codes.encode(strings(["é" * 1_000_000])).tolist() == [20_000]
    assert codes.find(strings(values[::-1])).tolist() == list(range(20_000))[::-1]
    assert codes.take(np.array([20_000, 7], np.int32)).to_pylist() == ["é" * 1_000_000, values[7]]


def test_strings_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may choose ids that collide: identity is the string."""
    monkeypatch.setattr(module, "hash64", lambda column: np.full(len(column), 5, np.int64))
    codes = Codes()
    assert codes.encode(strings(["a", "b", "ab", "a", ""])).tolist() == [0, 1, 2, 0, 3]
    assert codes.find(strings(["ab", "c", ""])).tolist() == [2, UNKNOWN, 3]
