"""Commands to Redis as bytes."""

from __future__ import annotations

import hiredis
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.feature_store.resp import commands

ROW = st.tuples(st.binary(max_size=200), st.binary(max_size=12))


@settings(deadline=None)  # the first call compiles
@given(st.lists(ROW, min_size=1, max_size=6), st.integers(0, 2), st.data())
def test_they_are_what_a_client_packs(
    rows: list[tuple[bytes, bytes]], skip: int, data: st.DataObject
) -> None:
    """Byte for byte, whatever the arguments hold, of slices of longer columns too."""
    first, second = (
        pa.array([*[b"other"] * skip, *column], pa.binary()).slice(skip)
        for column in zip(*rows, strict=True)
    )
    packed = commands([b"HSET", first, b"a", b"field", second, b"z"])
    expected = [hiredis.pack_command((b"HSET", a, b"a", b"field", b, b"z")) for a, b in rows]
    assert bytes(packed.all()) == b"".join(expected)
    assert len(packed) == len(rows)
    chosen = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1))))
    pieces = packed.only(np.array(chosen, np.int64))
    assert b"".join(pieces) == b"".join(expected[row] for row in chosen)


def test_lengths_of_any_number_of_digits_are_written() -> None:
    """Arguments around the powers of ten."""
    values = [b"x" * length for length in (0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 100_000)]
    packed = commands([b"SET", pa.array(values, pa.binary())])
    assert bytes(packed.all()) == b"".join(hiredis.pack_command((b"SET", v)) for v in values)
