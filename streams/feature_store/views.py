"""Between our tables and what Feast stores: checking, encoding, reading back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.feature_views import ViewSpec
from streams.feature_store.encoding import (
    EncodedRows,
    encode_entity_keys,
    encode_values,
)
from streams.offline.point_in_time import CREATED, EVENT_TIMESTAMP

FeastAnswer = tuple[datetime | None, dict[str, Value] | None]
"""Of one key: the event time and the features, or neither."""

FEAST_FIELDS: dict[pa.DataType, str] = {
    pa.string(): "string_val",
    pa.int64(): "int64_val",
    pa.float64(): "double_val",
    pa.list_(pa.string()): "string_list_val",
    pa.list_(pa.int64()): "int64_list_val",
    pa.list_(pa.float64()): "double_list_val",
}
"""Where Feast's `Value` holds a column's values."""

MICROSECONDS = pa.timestamp("us", "UTC")


def checked(view: ViewSpec, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the view's columns; ValueError names what does not fit."""
    missing = [name for name in view.schema.names if name not in rows.column_names]
    if missing:
        raise ValueError(f"{view.name}: columns {missing} are missing from the rows to write")
    rows = rows.select(view.schema.names)
    for field in view.schema:
        if not field.nullable and rows[field.name].null_count:
            raise ValueError(f"{view.name}: column {field.name} must not hold a null")
    try:
        return rows.cast(view.schema)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{view.name}: {error}") from error


def encode_rows(view: ViewSpec, rows: pa.Table) -> EncodedRows:
    """The rows as an online store takes them."""
    columns = {name: _contiguous(rows[name]) for name in view.schema.names}
    times_us = np.asarray(columns[view.time]) * 1000
    scalars = [name for name in view.features if not pa.types.is_list(columns[name].type)]
    return EncodedRows(
        entity_keys=encode_entity_keys(view.key, columns[view.key]),
        event_times_us=times_us,
        revisions=np.asarray(columns[view.revision]) if view.revision else np.zeros_like(times_us),
        values={name: encode_values(columns[name]) for name in view.features},
        scalars={name: columns[name] for name in scalars},
    )


def entity_keys_of(view: ViewSpec, ids: Sequence[str]) -> list[EntityKey]:
    """What Feast calls these users or items."""
    return [EntityKey(join_keys=[view.key], entity_values=[Value(string_val=i)]) for i in ids]


def rows_of_answers(view: ViewSpec, ids: Sequence[str], answers: Sequence[FeastAnswer]) -> pa.Table:
    """The rows that the store holds, of what Feast's online store answered for each id.

    A key without a time was not found, whatever else Feast says of it.
    """
    found = [
        (key, features)
        for key, (_, features) in zip(ids, answers, strict=True)
        if features is not None and features[view.time].WhichOneof("val")
    ]
    columns = {
        name: _decoded([features[name] for _, features in found], view.schema.field(name).type)
        for name in view.features
    }
    columns[view.key] = pa.array([key for key, _ in found], pa.string())
    return pa.table([columns[name] for name in view.schema.names], view.schema)


def _decoded(values: Sequence[Value], kind: pa.DataType) -> pa.Array:
    """A column of what `encode_values` made of it."""
    field = FEAST_FIELDS[kind]
    if not pa.types.is_list(kind):
        return pa.array([getattr(v, field) if v.WhichOneof("val") else None for v in values], kind)
    lists = [getattr(value, field).val for value in values]
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    elements: list[Any] = []
    for some in lists:
        elements.extend(some)
    mask = pa.array([value.WhichOneof("val") is None for value in values], pa.bool_())
    flat = pa.array(elements, kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=mask)


def offline_schema(view: ViewSpec) -> pa.Schema:
    """The columns of a view's offline table."""
    times = [pa.field(name, MICROSECONDS) for name in (EVENT_TIMESTAMP, CREATED)]
    return pa.schema([*view.schema, *times])


def offline_rows(view: ViewSpec, rows: pa.Table) -> pa.Table:
    """Rows with the two timestamps that order their versions offline."""
    event_us = np.asarray(rows[view.time]) * 1000
    created_us = event_us + (np.asarray(rows[view.revision]) if view.revision else 0)
    for name, times in ((EVENT_TIMESTAMP, event_us), (CREATED, created_us)):
        rows = rows.append_column(name, pa.array(times).cast(MICROSECONDS))
    return rows


def rows_known(view: ViewSpec, labels: pa.Table, joined: pa.Table) -> pa.Table:
    """The rows of a view joined to `labels`, empty lists and 0 where nothing was known."""
    known = {name: without_nulls(joined[name]) for name in view.features}
    columns = {view.key: labels[view.key], **known}
    return pa.table([columns[name] for name in view.schema.names], view.schema)


def without_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A joined column with 0, no text or an empty list where nothing was known."""
    if not column.null_count:
        return column
    nothing = pa.scalar(_nothing(column.type), column.type)
    known: pa.ChunkedArray = pc.if_else(column.is_valid(), column, nothing)
    return known


def _nothing(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else 0


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    # `combine_chunks` copies a single chunk too.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
