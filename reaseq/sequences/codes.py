"""Dense numbers for strings, without an object for any of them.

The strings lie one after the other in one array of bytes, and an open hash table leads to them. So
a million take the room of their bytes and some 25 more each, and a batch is encoded by one compiled
loop.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.sequences.hashing import byte_slices, hash64
from reaseq.types import AnyArray, Bytes, Column, Int32s, Int64s, Integers

UNKNOWN = -1
_EMPTY = -1
_FIRST_ROOM = 64


class Codes:
    """Dense codes 0, 1, 2 … for strings, in order of first sight."""

    def __init__(self) -> None:
        self._size = np.zeros(1, np.int64)
        self._bytes = np.empty(_FIRST_ROOM, np.uint8)
        self._offsets = np.zeros(_FIRST_ROOM + 1, np.int64)
        self._hashes = np.empty(_FIRST_ROOM, np.int64)
        self._table = np.full(2 * _FIRST_ROOM, _EMPTY, np.int32)

    def __len__(self) -> int:
        return int(self._size[0])

    @property
    def num_bytes(self) -> int:
        """Memory that is in use, in bytes."""
        used = int(self._offsets[len(self)])
        return used + 16 * len(self) + self._table.nbytes

    def encode(self, column: Column) -> Int64s:
        """The code of each string, new ones for those never seen; the column must hold no null."""
        data, offsets = byte_slices(column)
        hashes = hash64(column)
        codes = np.empty(len(hashes), np.int64)
        row = 0
        while True:
            row = _encode(data, offsets, hashes, row, *self._columns(), self._size, codes)
            if row == len(codes):
                return codes
            self._grow(int(offsets[row + 1] - offsets[row]))

    def find(self, column: Column) -> Int64s:
        """The code of each string, UNKNOWN for those never seen; the column must hold no null."""
        data, offsets = byte_slices(column)
        codes = np.empty(len(offsets) - 1, np.int64)
        _find(data, offsets, hash64(column), *self._columns(), codes)
        return codes

    def take(self, codes: Integers) -> pa.Array:
        """The string of each code; together they must be shorter than 2 GiB."""
        lengths = self._offsets[1:][codes] - self._offsets[codes]
        offsets = np.zeros(len(codes) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        data = np.empty(int(lengths.sum()), np.uint8)
        assert len(data) == offsets[-1], "the strings of one answer are shorter than 2 GiB"
        _copy_strings(self._bytes, self._offsets, codes, offsets, data)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.string(), len(codes), buffers)

    def hashes(self) -> Int64s:
        """`hash64` of each string, by code."""
        return self._hashes[: len(self)]

    def _columns(self) -> tuple[Bytes, Int64s, Int64s, Int32s]:
        return self._bytes, self._offsets, self._hashes, self._table

    def _grow(self, length: int) -> None:
        """Make room for a string of this length, and as much again as there is."""
        size, used = len(self), int(self._offsets[len(self)])
        if used + length > len(self._bytes):
            self._bytes = longer(self._bytes, used, 2 * used + length)
        if size == len(self._hashes):
            self._hashes = longer(self._hashes, size, 2 * size)
            self._offsets = longer(self._offsets, size + 1, 2 * size + 1)
            self._table = np.full(4 * size, _EMPTY, np.int32)
            _fill_table(self._hashes, size, self._table)


def longer(array: AnyArray, used: int, length: int) -> AnyArray:
    """The first `used` elements in an array of another length, the others undefined."""
    copy = np.empty(length, array.dtype)
    copy[:used] = array[:used]
    return copy


@compiled
def _encode(
    data: Bytes,
    offsets: Int64s,
    keys: Int64s,
    first: int,
    known_bytes: Bytes,
    known_offsets: Int64s,
    known_keys: Int64s,
    table: Int32s,
    size: Int64s,
    codes: Int64s,
) -> int:
    """Fill `codes` from row `first` on; return the first row without room, or their number."""
    for row in range(first, len(codes)):
        start, end = offsets[row], offsets[row + 1]
        place = _place(data, start, end, keys[row], known_bytes, known_offsets, known_keys, table)
        if table[place] == _EMPTY:
            code = size[0]
            begin = known_offsets[code]
            if code == len(known_keys) or begin + end - start > len(known_bytes):
                return row
            for position in range(start, end):
                known_bytes[begin + position - start] = data[position]
            known_offsets[code + 1] = begin + end - start
            known_keys[code] = keys[row]
            table[place] = code
            size[0] += 1
        codes[row] = table[place]
    return len(codes)


@compiled
def _find(
    data: Bytes,
    offsets: Int64s,
    keys: Int64s,
    known_bytes: Bytes,
    known_offsets: Int64s,
    known_keys: Int64s,
    table: Int32s,
    codes: Int64s,
) -> None:
    for row in range(len(codes)):
        start, end = offsets[row], offsets[row + 1]
        place = _place(data, start, end, keys[row], known_bytes, known_offsets, known_keys, table)
        codes[row] = table[place]


@compiled
def _place(
    data: Bytes,
    start: int,
    end: int,
    key: int,
    known_bytes: Bytes,
    known_offsets: Int64s,
    known_keys: Int64s,
    table: Int32s,
) -> int:
    """Where the table holds the string, or where it would."""
    place = key & (len(table) - 1)
    while table[place] != _EMPTY:
        code = table[place]
        if known_keys[code] == key and known_offsets[code + 1] - known_offsets[code] == end - start:
            begin = known_offsets[code]
            position = start
            while position < end and data[position] == known_bytes[begin + position - start]:
                position += 1
            if position == end:
                return int(place)
        place = (place + 1) & (len(table) - 1)
    return int(place)


@compiled
def _fill_table(keys: Int64s, size: int, table: Int32s) -> None:
    for code in range(size):
        place = keys[code] & (len(table) - 1)
        while table[place] != _EMPTY:
            place = (place + 1) & (len(table) - 1)
        table[place] = code


@compiled
def _copy_strings(
    known_bytes: Bytes, known_offsets: Int64s, codes: Integers, offsets: Int32s, data: Bytes
) -> None:
    for row in range(len(codes)):
        begin, length = known_offsets[codes[row]], offsets[row + 1] - offsets[row]
        for position in range(length):
            data[offsets[row] + position] = known_bytes[begin + position]
