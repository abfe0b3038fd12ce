"""Between our tables and what Feast stores: checking, encoding, reading back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.feature_views import ViewSpec
from streams.feature_store.encoding import (
    EncodedRows,
    encode_entity_keys,
    encode_texts,
    encode_values,
)
from streams.offline.point_in_time import CREATED, EVENT_TIMESTAMP

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
    times = [ms * 1000 for ms in columns[view.time].to_pylist()]
    revisions = columns[view.revision].to_pylist() if view.revision else [0] * len(times)
    return EncodedRows(
        entity_keys=encode_entity_keys(view.key, columns[view.key]),
        row_versions=list(zip(times, revisions, strict=True)),
        values={name: encode_values(columns[name]) for name in view.features},
        texts={name: encode_texts(columns[name]) for name in view.features},
    )


def rows_of_response(view: ViewSpec, response: dict[str, list[Any]]) -> pa.Table:
    """The rows of Feast's response that the store holds."""
    rows = [i for i, time in enumerate(response[view.time]) if time is not None]
    columns = [
        pa.array([response[field.name][i] for i in rows], field.type) for field in view.schema
    ]
    return pa.table(columns, view.schema)


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
    return column.combine_chunks()
