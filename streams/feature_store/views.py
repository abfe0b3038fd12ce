"""Between our tables and what Feast stores: checking, encoding, reading back."""

from __future__ import annotations

from pathlib import Path
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
from streams.offline.parts import write_part


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
        orders=list(zip(times, revisions, strict=True)),
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


def write_offline(view: ViewSpec, home: Path, part: str, rows: pa.Table) -> Path:
    """Write rows offline with the two timestamps that Feast orders them by."""
    event_us = np.asarray(rows[view.time]) * 1000
    created_us = event_us + (np.asarray(rows[view.revision]) if view.revision else 0)
    for name, times in (("event_timestamp", event_us), ("created", created_us)):
        rows = rows.append_column(name, pa.array(times).cast(pa.timestamp("us", "UTC")))
    return write_part(home / "data" / view.name, part, rows)


def without_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A joined column with 0, no text or an empty list where nothing was known."""
    if not column.null_count:
        return column
    nothing = pa.scalar(_nothing(column.type), column.type)
    return pc.if_else(column.is_valid(), column, nothing)


def _nothing(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else 0


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    chunk = column.combine_chunks()
    return chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk
