"""64-bit keys for identifiers, computed over a whole Arrow column at once.

A sequence remembers which events it holds by key, eight bytes instead of a string. Keys are
compared only within one user's newest N events, so an accidental collision (about N^2 / 2^65 a
user) is negligible. The function is FNV-1a with a final mix; it is part of the stored format:
changing it makes old sequences meet their own events as new ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.types import Column, Int64s

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(33)


@compiled
def _hash_slices(data: npt.NDArray[np.uint8], offsets: Int64s, out: npt.NDArray[np.uint64]) -> None:
    for row in range(len(out)):
        key = _FNV_OFFSET
        for position in range(offsets[row], offsets[row + 1]):
            key = (key ^ np.uint64(data[position])) * _FNV_PRIME
        key = (key ^ (key >> _SHIFT)) * _MIX
        out[row] = key ^ (key >> _SHIFT)


def hash64(strings: Column) -> Int64s:
    """Return one signed 64-bit key per string, in the order given; the column must hold no null."""
    data, offsets = byte_slices(strings)
    keys = np.empty(len(offsets) - 1, dtype=np.uint64)
    _hash_slices(data, offsets, keys)
    return keys.view(np.int64)


def byte_slices(column: Column) -> tuple[npt.NDArray[np.uint8], Int64s]:
    """The bytes of a column of strings or binaries, one after the other, and where each begins.

    Row i is `data[offsets[i] : offsets[i + 1]]`. The column must hold no null.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array.cast(pa.large_binary())
    assert array.null_count == 0, "a column without nulls is needed"
    if not len(array):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offset_buffer, data_buffer = array.buffers()
    assert offset_buffer is not None
    offsets = np.frombuffer(memoryview(offset_buffer), dtype=np.int64)
    data = np.frombuffer(memoryview(data_buffer or b""), dtype=np.uint8)
    return data, offsets[array.offset :][: len(array) + 1]
