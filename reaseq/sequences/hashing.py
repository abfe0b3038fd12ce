"""64-bit keys for identifiers, computed over a whole Arrow column at once.

A sequence remembers which events it holds by key, eight bytes instead of a string. Keys are
compared only within one user's newest N events, so an accidental collision (about N^2 / 2^65 a
user) is negligible. The function is FNV-1a with a final mix; it is part of the stored format:
changing it makes old sequences meet their own events as new ones.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reaseq.types import Int64s

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(33)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hash_slices(data: npt.NDArray[np.uint8], offsets: Int64s, out: npt.NDArray[np.uint64]) -> None:
    for row in range(len(out)):
        key = _FNV_OFFSET
        for position in range(offsets[row], offsets[row + 1]):
            key = (key ^ np.uint64(data[position])) * _FNV_PRIME
        key = (key ^ (key >> _SHIFT)) * _MIX
        out[row] = key ^ (key >> _SHIFT)


def hash64(strings: pa.Array | pa.ChunkedArray) -> Int64s:
    """Return one signed 64-bit key a string, in the order given; the column must hold no null."""
    column = strings.combine_chunks() if isinstance(strings, pa.ChunkedArray) else strings
    column = column.cast(pa.large_string())
    assert column.null_count == 0, "hash64 takes a column without nulls"
    keys = np.empty(len(column), dtype=np.uint64)
    _, offset_buffer, data_buffer = column.buffers()
    if len(column) == 0 or offset_buffer is None:
        return keys.view(np.int64)
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)
    _hash_slices(data, offsets, keys)
    return keys.view(np.int64)
