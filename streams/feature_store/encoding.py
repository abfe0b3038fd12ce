"""Arrow columns to the bytes that Feast's online stores hold, a whole column at a time.

Feast builds one Python protobuf object a value, which is where most of an online write goes. The
same bytes can be joined from Arrow buffers. What comes out is byte for byte what
`Value.SerializeToString()` gives (feast/protos/feast/types/Value.proto), so Feast reads it back
without knowing. Every guarded store writes `EncodedRows`, whatever its layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.compiled import compiled
from reaseq.types import Int64s

ENTITY_KEY_VERSION = 3

STRING_TAG, INT64_TAG, DOUBLE_TAG = b"\x12", b"\x20", b"\x29"
STRING_LIST_TAG, INT64_LIST_TAG, DOUBLE_LIST_TAG = b"\x62", b"\x72", b"\x7a"
ELEMENTS_TAG = b"\x0a"
"""Field number and wire type of `Value` and its list messages, as one byte each."""


@dataclass(frozen=True, kw_only=True)
class EncodedRows:
    """Rows of one feature view as bytes: parallel lists, one entry a row.

    `row_versions` holds `(event time in microseconds, revision)`, which orders the versions of a
    row. `texts` holds the readable form of scalar features, which Feast keeps beside the bytes.
    """

    entity_keys: list[bytes]
    row_versions: list[tuple[int, int]]
    values: dict[str, list[bytes]]
    texts: dict[str, list[str | None]]


def encode_entity_keys(join_key: str, ids: pa.Array) -> list[bytes]:
    """The serialised entity keys of string `ids`, as Feast's online stores index them."""
    empty = EntityKey(join_keys=[join_key], entity_values=[Value(string_val="")])
    # The key of an id is the key of "" with the last four bytes (the length) and the id replaced.
    head = serialize_entity_key(empty, entity_key_serialization_version=ENTITY_KEY_VERSION)[:-4]
    encoded = (i.encode() for i in ids.to_pylist())
    return [head + len(i).to_bytes(4, "little") + i for i in encoded]


def encode_values(column: pa.Array) -> list[bytes]:
    """One serialised `Value` a row; a null row becomes the empty `Value`, which reads as None.

    A null inside a list of floats becomes NaN. Raises ValueError for a null inside another list
    and for types that no feature view of ours has.
    """
    encode = ENCODERS.get(column.type)
    if encode is None:
        raise ValueError(f"no online encoding for {column.type}: add it to ENCODERS")
    encoded = encode(column)
    if column.null_count:
        encoded = pc.if_else(column.is_valid(), encoded, pa.scalar(b"", pa.binary()))
    values: list[bytes] = encoded.to_pylist()
    return values


def encode_texts(column: pa.Array) -> list[str | None]:
    """The readable form of a scalar column; lists have none."""
    if pa.types.is_list(column.type):
        return [None] * len(column)
    return [None if v is None else str(v) for v in column.to_pylist()]


def _strings(column: pa.Array) -> pa.Array:
    return _prefixed(STRING_TAG, column.fill_null("").cast(pa.binary()))


def _int64s(column: pa.Array) -> pa.Array:
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    return _joined(_constant(INT64_TAG), _varints(numbers, np.arange(len(numbers) + 1)))


def _doubles(column: pa.Array) -> pa.Array:
    numbers = column.fill_null(0.0).to_numpy(zero_copy_only=False)
    return _joined(_constant(DOUBLE_TAG), _slices(numbers, 8 * np.arange(len(numbers) + 1)))


def _string_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    messages = _prefixed(ELEMENTS_TAG, elements.cast(pa.binary()))
    _, offset_buffer, data_buffer = messages.buffers()
    assert offset_buffer is not None
    data = np.frombuffer(memoryview(data_buffer or b""), np.uint8)
    starts = np.frombuffer(memoryview(offset_buffer), np.int32)[: len(messages) + 1]
    return _prefixed(STRING_LIST_TAG, _slices(data, starts[offsets]))


def _int64_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    return _packed(INT64_LIST_TAG, _varints(elements.to_numpy(zero_copy_only=False), offsets))


def _double_lists(column: pa.Array) -> pa.Array:
    offsets, elements = _elements(column)
    numbers = elements.to_numpy(zero_copy_only=False)
    return _packed(DOUBLE_LIST_TAG, _slices(numbers, 8 * offsets))


def _elements(column: pa.Array) -> tuple[Int64s, pa.Array]:
    """Offsets from zero and the elements of a list column, null rows as empty lists."""
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    elements = column.flatten()
    if elements.null_count and pa.types.is_floating(elements.type):
        elements = elements.fill_null(float("nan"))
    if elements.null_count:
        raise ValueError("a list feature holds a null: leave the element out, Feast cannot hold it")
    return offsets, elements


def _packed(tag: bytes, elements: pa.Array) -> pa.Array:
    """A list message round packed numbers; an empty list has no inner field at all."""
    inner = _prefixed(ELEMENTS_TAG, elements)
    is_empty = pc.equal(pc.binary_length(elements), 0)
    return _prefixed(tag, pc.if_else(is_empty, pa.scalar(b"", pa.binary()), inner))


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
def _write_varints(
    numbers: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.uint8], Int64s]:
    """Base-128 varints back to back, and where each starts (one entry more than numbers)."""
    data = np.empty(10 * len(numbers), np.uint8)
    starts = np.empty(len(numbers) + 1, np.int64)
    position = 0
    for index in range(len(numbers)):
        starts[index] = position
        rest = numbers[index]
        while rest >= np.uint64(128):
            data[position] = np.uint8(rest & np.uint64(127)) | np.uint8(128)
            rest >>= np.uint64(7)
            position += 1
        data[position] = np.uint8(rest)
        position += 1
    starts[len(numbers)] = position
    return data[:position], starts


ENCODERS: dict[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    pa.string(): _strings,
    pa.int64(): _int64s,
    pa.float64(): _doubles,
    pa.list_(pa.string()): _string_lists,
    pa.list_(pa.int64()): _int64_lists,
    pa.list_(pa.float64()): _double_lists,
}
