"""A column of byte strings: what was put in comes out, missing and empty told apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.log.byte_slices import ByteSlices

values = st.lists(st.none() | st.binary(max_size=10), max_size=20)


@given(values)
def test_values_come_back(given_values: list[bytes | None]) -> None:
    """One by one and all at once."""
    column = ByteSlices.of(given_values)
    assert len(column) == len(given_values)
    assert column.to_pylist() == given_values
    assert [column[position] for position in range(len(column))] == given_values


@given(values, st.integers(0, 20), st.integers(0, 20))
def test_a_part_is_a_column_too(given_values: list[bytes | None], start: int, end: int) -> None:
    """On the same buffer."""
    column = ByteSlices.of(given_values)
    part = column.slice(slice(start, end))
    assert part.to_pylist() == given_values[start:end]
    assert part.data is column.data
