"""The bytes written are the bytes Feast would have written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, StringList, Value
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.feature_store.encoding import (
    encode_entity_keys,
    encode_timestamps,
    encode_values,
    readable,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
TEXT = st.text(max_size=200)


def columns(element: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | element, min_size=1, max_size=8)


@settings(deadline=None)  # the first call compiles
@given(columns(TEXT))
def test_strings_encode_as_feast_does(column: list[str | None]) -> None:
    """A string column becomes string_val values, nulls empty ones."""
    expected = [Value() if v is None else Value(string_val=v) for v in column]
    assert encode_values(pa.array(column, pa.string())).to_pylist() == serialized(expected)


@settings(deadline=None)  # the first call compiles
@given(columns(INT64))
def test_integers_encode_as_feast_does(column: list[int | None]) -> None:
    """Every 64-bit integer, negative ones too, becomes an int64_val."""
    expected = [Value() if v is None else Value(int64_val=v) for v in column]
    assert encode_values(pa.array(column, pa.int64())).to_pylist() == serialized(expected)


@settings(deadline=None)  # the first call compiles
@given(columns(FLOAT))
def test_floats_encode_as_feast_does(column: list[float | None]) -> None:
    """A float column becomes double_val values."""
    expected = [Value() if v is None else Value(double_val=v) for v in column]
    assert encode_values(pa.array(column, pa.float64())).to_pylist() == serialized(expected)


@settings(deadline=None)  # the first call compiles
@given(columns(st.lists(TEXT, max_size=5)), st.integers(0, 2))
def test_string_lists_encode_as_feast_does(column: list[list[str] | None], skip: int) -> None:
    """Lists of strings, empty ones and slices of a longer column too."""
    lists = [Value() if v is None else Value(string_list_val=StringList(val=v)) for v in column]
    table_slice = pa.array(column, pa.list_(pa.string())).slice(skip)
    assert encode_values(table_slice).to_pylist() == serialized(lists[skip:])


@settings(deadline=None)  # the first call compiles
@given(columns(st.lists(INT64, max_size=5)), st.integers(0, 2))
def test_integer_lists_encode_as_feast_does(column: list[list[int] | None], skip: int) -> None:
    """Lists of integers are packed varints."""
    lists = [Value() if v is None else Value(int64_list_val=Int64List(val=v)) for v in column]
    table_slice = pa.array(column, pa.list_(pa.int64())).slice(skip)
    assert encode_values(table_slice).to_pylist() == serialized(lists[skip:])


@settings(deadline=None)  # the first call compiles
@given(columns(st.lists(FLOAT, max_size=5)), st.integers(0, 2))
def test_float_lists_encode_as_feast_does(column: list[list[float] | None], skip: int) -> None:
    """Lists of floats are packed doubles."""
    lists = [Value() if v is None else Value(double_list_val=DoubleList(val=v)) for v in column]
    table_slice = pa.array(column, pa.list_(pa.float64())).slice(skip)
    assert encode_values(table_slice).to_pylist() == serialized(lists[skip:])


@settings(deadline=None)  # the first call compiles
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_entity_keys_are_those_of_feast(ids: list[str]) -> None:
    """A key made by replacing the id in the key of "" is the key Feast makes."""
    keys = [EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=i)]) for i in ids]
    expected = [serialize_entity_key(k, entity_key_serialization_version=3) for k in keys]
    assert encode_entity_keys("user_id", pa.array(ids)).to_pylist() == expected


def test_a_null_in_a_float_list_becomes_nan() -> None:
    """A value that is absent is NaN, in the store as in the stream's state."""
    [encoded] = encode_values(pa.array([[1.0, None]], pa.list_(pa.float64()))).to_pylist()
    first, second = Value.FromString(encoded).double_list_val.val
    assert first == 1.0
    assert second != second


def test_a_null_in_another_list_is_refused() -> None:
    """Feast's lists hold no nulls, and an invented value would be a lie."""
    with pytest.raises(ValueError, match="holds a null"):
        encode_values(pa.array([["a", None]], pa.list_(pa.string())))


def test_a_type_no_view_has_is_refused() -> None:
    """An unknown column type fails at once instead of being stored unreadably."""
    with pytest.raises(ValueError, match="no online encoding"):
        encode_values(pa.array([True]))


def test_scalars_have_a_readable_form() -> None:
    """Feast keeps the text of scalars beside their bytes."""
    assert readable(pa.array([1, None])) == ["1", None]
    assert readable(pa.array([1.0])) == ["1.0"]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), min_size=1))
def test_timestamps_are_those_of_protobuf(times_us: list[int]) -> None:
    """Of every year that the message allows: a zero is left out, one before 1970 is negative."""
    messages = [Timestamp(seconds=t // 10**6, nanos=t % 10**6 * 1000) for t in times_us]
    expected = [message.SerializeToString() for message in messages]
    assert encode_timestamps(np.array(times_us)).to_pylist() == expected


def serialized(values: list[Value]) -> list[bytes]:
    return [value.SerializeToString() for value in values]
