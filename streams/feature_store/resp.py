"""Many commands to Redis as the bytes of its protocol, a whole column of arguments at a time.

A client packs command by command and argument by argument, as objects. Here what is the same in
every command is packed once, and a compiled loop puts the columns between it: one buffer, whose
slices can be sent as they are (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.types import Bytes, Int64s
from streams.feature_store.encoding import byte_ranges, put_bytes

RETURN, NEWLINE, DOLLAR, ZERO = 0x0D, 0x0A, 0x24, 0x30

Argument = bytes | pa.Array
"""The same in every command, or one a command."""


@dataclass(frozen=True, eq=False)
class Commands:
    """Command i is `data[starts[i] : starts[i + 1]]`, in the protocol's bytes."""

    data: Bytes
    starts: Int64s

    def __len__(self) -> int:
        """The number of commands."""
        return len(self.starts) - 1

    def all(self) -> memoryview:
        """The bytes of all commands, not copied."""
        return self.data.data

    def only(self, rows: Int64s) -> list[memoryview]:
        """The bytes of the commands at these increasing indices, not copied, in few pieces."""
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = [run for run in np.split(rows, breaks) if len(run)]
        return [self.data[self.starts[r[0]] : self.starts[r[-1] + 1]].data for r in runs]


def commands(arguments: Sequence[Argument]) -> Commands:
    """One command for each entry of the columns among the arguments; there is at least one."""
    parts = _parts(arguments)
    columns = [part for part in parts if not isinstance(part, bytes)]
    lengths = np.full(len(columns[0]), sum(len(part) for part in parts if isinstance(part, bytes)))
    for column in columns:
        _add_lengths(lengths, byte_ranges(column)[0])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    data = np.empty(starts[-1], np.uint8)
    positions = starts[:-1].copy()
    for part in parts:
        if isinstance(part, bytes):
            _put_constant(data, positions, np.frombuffer(part, np.uint8))
        else:
            _put_column(data, positions, *byte_ranges(part))
    return Commands(data, starts)


def _parts(arguments: Sequence[Argument]) -> list[Argument]:
    """The head of a command and its arguments, those packed and joined that are constant."""
    parts: list[Argument] = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if not isinstance(argument, bytes):
            parts.append(argument)
        elif isinstance(parts[-1], bytes):
            parts[-1] += _packed(argument)
        else:
            parts.append(_packed(argument))
    return parts


def _packed(argument: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(argument), argument)


@compiled
def _add_lengths(lengths: Int64s, starts: npt.NDArray[np.int32]) -> None:
    """Add to every command what its entry of the column takes as an argument."""
    for row in range(len(lengths)):
        content = np.int64(starts[row + 1]) - np.int64(starts[row])
        lengths[row] += 1 + _num_digits(content) + 2 + content + 2


@compiled
def _num_digits(number: np.int64) -> int:
    count = 1
    while number >= 10:
        number //= np.int64(10)
        count += 1
    return count


@compiled
def _put_constant(data: Bytes, positions: Int64s, content: Bytes) -> None:
    """Append the same bytes to every command."""
    for row in range(len(positions)):
        positions[row] = put_bytes(data, positions[row], content)


@compiled
def _put_column(
    data: Bytes, positions: Int64s, starts: npt.NDArray[np.int32], content: Bytes
) -> None:
    """Append to every command its entry of the column as an argument."""
    for row in range(len(positions)):
        position = positions[row]
        start, length = np.int64(starts[row]), np.int64(starts[row + 1]) - np.int64(starts[row])
        data[position] = np.uint8(DOLLAR)
        position = _put_number(data, position + 1, length)
        position = _put_line_end(data, position)
        position = put_bytes(data, position, content[start : start + length])
        positions[row] = _put_line_end(data, position)


@compiled
def _put_number(data: Bytes, position: int, number: np.int64) -> int:
    """Write a number's decimal digits; return the position behind them."""
    end = position + _num_digits(number)
    for place in range(end - 1, position - 1, -1):
        data[place] = np.uint8(ZERO + number % 10)
        number //= np.int64(10)
    return end


@compiled
def _put_line_end(data: Bytes, position: int) -> int:
    data[position] = np.uint8(RETURN)
    data[position + 1] = np.uint8(NEWLINE)
    return position + 2
