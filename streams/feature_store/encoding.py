"""Arrow columns to the bytes that Feast's online stores hold, a whole column at a time.

Feast builds one Python protobuf object a value, which is where most of an online write goes. Here a
column of bytes is joined from Arrow buffers, or written by a compiled loop where one value is made
of many. What comes out is byte for byte what `Value.SerializeToString()` gives
(feast/protos/feast/types/Value.proto), so Feast reads it back without knowing. Every guarded store
writes `EncodedRows`, whatever its layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.compiled import compiled
from reaseq.types import Bytes, Int64s

ENTITY_KEY_VERSION = 3

STRING_TAG, INT64_TAG, DOUBLE_TAG = b"\x12", b"\x20", b"\x29"
STRING_LIST, INT64_LIST, DOUBLE_LIST = 0x62, 0x72, 0x7A
ELEMENTS = 0x0A
"""Field number and wire type of `Value` and its list messages, as one byte each."""

MAX_VARINT = 10
"""Bytes of the longest."""

BLOCK = 16
"""Bytes that are copied at once where most texts are shorter."""

SECONDS, NANOS = 0x08, 0x10
"""The same of `google.protobuf.Timestamp`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedRows:
    """Rows of one feature view as bytes, by column: one entry a row in each.

    The version of a row is `(event time in microseconds, revision)`. `scalars` holds the features
    that are not lists as they are, for a store that keeps them readable (`readable`).
    """

    entity_keys: pa.Array
    event_times_us: Int64s
    revisions: Int64s
    values: dict[str, pa.Array]
    scalars: dict[str, pa.Array]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.entity_keys)

    def slice(self, start: int, length: int) -> EncodedRows:
        """Some rows that follow each other, not copied."""
        end = start + length
        return EncodedRows(
            entity_keys=self.entity_keys.slice(start, length),
            event_times_us=self.event_times_us[start:end],
            revisions=self.revisions[start:end],
            values={name: column.slice(start, length) for name, column in self.values.items()},
            scalars={name: column.slice(start, length) for name, column in self.scalars.items()},
        )

    def take(self, indices: Int64s) -> EncodedRows:
        """The rows at these indices."""
        return EncodedRows(
            entity_keys=self.entity_keys.take(indices),
            event_times_us=self.event_times_us[indices],
            revisions=self.revisions[indices],
            values={name: column.take(indices) for name, column in self.values.items()},
            scalars={name: column.take(indices) for name, column in self.scalars.items()},
        )


def encode_entity_keys(join_key: str, ids: pa.Array) -> pa.Array:
    """The serialised entity keys of string `ids`, as Feast's online stores index them."""
    empty = EntityKey(join_keys=[join_key], entity_values=[Value(string_val="")])
    # The key of an id is the key of "" with the last four bytes (the length) and the id replaced.
    head = serialize_entity_key(empty, entity_key_serialization_version=ENTITY_KEY_VERSION)[:-4]
    content = ids.cast(pa.binary())
    lengths = pc.binary_length(content).to_numpy(zero_copy_only=False).astype("<u4")
    return _joined(_constant(head), _slices(lengths, 4 * np.arange(len(lengths) + 1)), content)


def encode_timestamps(times_us: Int64s) -> pa.Array:
    """Microseconds since 1970 as serialised `google.protobuf.Timestamp`."""
    return _slices(*_write_timestamps(times_us))


def encode_values(column: pa.Array) -> pa.Array:
    """One serialised `Value` a row; a null row becomes the empty `Value`, which reads as None.

    A null inside a list of floats becomes NaN. Raises ValueError for a null inside another list
    and for types that no feature view of ours has.
    """
    encode = ENCODERS.get(column.type)
    if encode is None:
        raise ValueError(f"no online encoding for {column.type}: add it to ENCODERS")
    encoded = encode(column)
    if column.null_count:
        encoded = pc.if_else(column.is_valid(), encoded, _constant(b""))
    return encoded


def readable(column: pa.Array) -> list[str | None]:
    """The text of each value of a scalar column, as Feast keeps it beside the bytes."""
    return [None if v is None else str(v) for v in column.to_pylist()]


def byte_ranges(column: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Of strings or bytes, without a copy: entry i is `data[starts[i] : starts[i + 1]]`.

    Both are read-only, so that loops are compiled for one kind of array. A null is an empty range.
    """
    _, starts, data = (memoryview(buffer or b"").toreadonly() for buffer in column.buffers())
    first = column.offset
    return (
        np.frombuffer(starts, np.int32)[first : first + len(column) + 1],
        np.frombuffer(data, np.uint8),
    )


def _strings(column: pa.Array) -> pa.Array:
    return _prefixed(STRING_TAG, _filled(column, "").cast(pa.binary()))


def _int64s(column: pa.Array) -> pa.Array:
    numbers = _filled(column, 0).to_numpy(zero_copy_only=False)
    return _joined(_constant(INT64_TAG), _varints(numbers, np.arange(len(numbers) + 1)))


def _doubles(column: pa.Array) -> pa.Array:
    numbers = _filled(column, 0.0).to_numpy(zero_copy_only=False)
    return _joined(_constant(DOUBLE_TAG), _slices(numbers, 8 * np.arange(len(numbers) + 1)))


def _string_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    starts, data = byte_ranges(elements)
    lengths = _string_list_lengths(starts, offsets)
    data = np.append(data[starts[0] : starts[-1]], np.zeros(BLOCK, np.uint8))
    written = np.empty(lengths.sum() + (1 + MAX_VARINT) * len(lengths) + BLOCK, np.uint8)
    return _slices(written, _write_string_lists(data, starts, offsets, lengths, written))


def _int64_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    numbers = np.ascontiguousarray(elements.to_numpy(zero_copy_only=False))
    data, starts = _write_varints(numbers.view(np.uint64))
    return _packed(INT64_LIST, data, starts[offsets])


def _double_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    numbers = elements.to_numpy(zero_copy_only=False)
    return _packed(DOUBLE_LIST, np.ascontiguousarray(numbers).view(np.uint8), 8 * offsets)


def _filled(column: pa.Array, nothing: str | float) -> pa.Array:
    return column.fill_null(nothing) if column.null_count else column


def _elements(column: Any) -> tuple[Int64s, pa.Array]:
    """Offsets from zero and the elements of a list column, null rows as empty lists."""
    if column.null_count:
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    else:
        offsets = column.offsets.to_numpy().astype(np.int64)
        offsets -= offsets[0]
    elements = column.flatten()
    if elements.null_count and pa.types.is_floating(elements.type):
        elements = elements.fill_null(float("nan"))
    if elements.null_count:
        raise ValueError("a list feature holds a null: leave the element out, Feast cannot hold it")
    return offsets, elements


def _packed(tag: int, data: Bytes, offsets: Int64s) -> pa.Array:
    """List messages round packed numbers, those of list i at `[offsets[i], offsets[i + 1])`."""
    return _slices(*_write_packed(tag, data, offsets))


def _prefixed(tag: bytes, content: pa.Array) -> pa.Array:
    """Each value of `content` as a length-delimited protobuf field."""
    lengths = pc.binary_length(content).to_numpy(zero_copy_only=False).astype(np.int64)
    sizes = _varints(lengths, np.arange(len(lengths) + 1))
    return _joined(_constant(tag), sizes, content)


def _joined(*columns: pa.Array | pa.Scalar) -> pa.Array:
    return pc.binary_join_element_wise(*columns, pa.scalar(b"", pa.binary()))


def _constant(content: bytes) -> pa.Scalar:
    return pa.scalar(content, pa.binary())


def _varints(numbers: Int64s, offsets: Int64s) -> pa.Array:
    """Varints of `numbers`, the ones of `[offsets[i], offsets[i + 1])` joined in entry i."""
    data, ends = _write_varints(np.ascontiguousarray(numbers).view(np.uint64))
    return _slices(data, ends[offsets])


def _slices(data: npt.NDArray[np.generic], offsets: npt.NDArray[np.integer]) -> pa.Array:
    """The byte ranges `[offsets[i], offsets[i + 1])` of `data` as a binary column."""
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("a feature column exceeds 2 GiB: write fewer rows at a time")
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


@compiled
def _write_varints(numbers: npt.NDArray[np.uint64]) -> tuple[Bytes, Int64s]:
    """Base-128 varints back to back, and where each starts (one entry more than numbers)."""
    data = np.empty(MAX_VARINT * len(numbers), np.uint8)
    starts = np.empty(len(numbers) + 1, np.int64)
    position = 0
    for index in range(len(numbers)):
        starts[index] = position
        position = _put_varint(data, position, numbers[index])
    starts[len(numbers)] = position
    return data[:position], starts


@compiled
def _write_timestamps(times_us: Int64s) -> tuple[Bytes, Int64s]:
    """Messages back to back, and where each starts (one entry more); a zero is left out of one."""
    data = np.empty(2 * (1 + MAX_VARINT) * len(times_us), np.uint8)
    starts = np.empty(len(times_us) + 1, np.int64)
    position = 0
    for row in range(len(times_us)):
        starts[row] = position
        seconds, micros = times_us[row] // 1_000_000, times_us[row] % 1_000_000
        if seconds:
            data[position] = np.uint8(SECONDS)
            position = _put_varint(data, position + 1, np.uint64(seconds))
        if micros:
            data[position] = np.uint8(NANOS)
            position = _put_varint(data, position + 1, np.uint64(micros * 1000))
    starts[len(times_us)] = position
    return data[:position], starts


@compiled
def _put_varint(data: Bytes, position: int, number: np.uint64) -> int:
    """Write a varint; return the position behind it."""
    while number >= np.uint64(128):
        data[position] = np.uint8(number & np.uint64(127)) | np.uint8(128)
        number >>= np.uint64(7)
        position += 1
    data[position] = np.uint8(number)
    return position + 1


@compiled
def put_bytes(data: Bytes, position: int, content: Bytes) -> int:
    """Write bytes; return the position behind them."""
    target = data[position : position + len(content)]
    for index in range(len(content)):  # from zero on views: this compiles to a block copy
        target[index] = content[index]
    return position + len(content)


@compiled
def _write_packed(tag: int, data: Bytes, offsets: Int64s) -> tuple[Bytes, Int64s]:
    """The value of each list, and where each starts (one entry more than lists).

    An empty list has no inner field at all.
    """
    num_lists = len(offsets) - 1
    written = np.empty(len(data) + 2 * (1 + MAX_VARINT) * num_lists, np.uint8)
    starts = np.empty(num_lists + 1, np.int64)
    position = 0
    for row in range(num_lists):
        starts[row] = position
        content = data[offsets[row] : offsets[row + 1]]
        size = 0 if len(content) == 0 else 1 + _varint_length(len(content)) + len(content)
        written[position] = np.uint8(tag)
        position = _put_varint(written, position + 1, np.uint64(size))
        if size:
            written[position] = np.uint8(ELEMENTS)
            position = _put_varint(written, position + 1, np.uint64(len(content)))
            position = put_bytes(written, position, content)
    starts[num_lists] = position
    return written[:position], starts


@compiled
def _varint_length(number: int) -> int:
    length = 1
    while number >= 128:
        number >>= 7
        length += 1
    return length


@compiled
def _put_text(written: Bytes, position: int, data: Bytes, start: np.int64, length: np.int64) -> int:
    """Write some bytes in whole blocks, so with a surplus; return the position behind the bytes.

    What is written next goes over the surplus. Copying a fixed number of bytes takes a third of the
    time that a loop of a few takes, and unsigned positions spare it the look for negative ones.
    """
    target, source = np.uint64(position), np.uint64(start)
    for _ in range((length + BLOCK - 1) // BLOCK):
        for place in range(BLOCK):
            written[target + np.uint64(place)] = data[source + np.uint64(place)]
        target += np.uint64(BLOCK)
        source += np.uint64(BLOCK)
    return position + int(length)


@compiled
def _string_list_lengths(starts: npt.NDArray[np.int32], offsets: Int64s) -> Int64s:
    """How long the message of each list is; string e is `[starts[e], starts[e + 1])`."""
    lengths = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(lengths)):
        for element in range(offsets[row], offsets[row + 1]):
            length = np.int64(starts[element + 1]) - np.int64(starts[element])
            lengths[row] += 1 + _varint_length(int(length)) + length
    return lengths


@compiled
def _write_string_lists(
    data: Bytes,
    starts: npt.NDArray[np.int32],
    offsets: Int64s,
    lengths: Int64s,
    written: Bytes,
) -> Int64s:
    """Write the value of each list; return where each starts (one entry more than lists).

    String e is `data[starts[e] - starts[0] : starts[e + 1] - starts[0]]`, and behind the last of
    `data` and of what is written is a block to spare.
    """
    begins = np.empty(len(offsets), np.int64)
    position = 0
    for row in range(len(lengths)):
        begins[row] = position
        written[position] = np.uint8(STRING_LIST)
        position = _put_varint(written, position + 1, np.uint64(lengths[row]))
        for element in range(offsets[row], offsets[row + 1]):
            length = np.int64(starts[element + 1]) - np.int64(starts[element])
            start = np.int64(starts[element]) - np.int64(starts[0])
            written[position] = np.uint8(ELEMENTS)
            position = _put_varint(written, position + 1, np.uint64(length))
            position = _put_text(written, position, data, start, length)
    begins[len(lengths)] = position
    return begins


ENCODERS: dict[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    pa.string(): _strings,
    pa.int64(): _int64s,
    pa.float64(): _doubles,
    pa.list_(pa.string()): _string_lists,
    pa.list_(pa.int64()): _int64_lists,
    pa.list_(pa.float64()): _double_lists,
}
