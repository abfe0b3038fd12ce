"""How the columns of our tables meet the feature views: key, event time and revision of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import (
    GENERATED_SCHEMA,
    ITEM_SCHEMA,
    KNOWLEDGE_SCHEMA,
    POPULARITY_SCHEMA,
    SEQUENCE_SCHEMA,
)
from streams.feature_store.encoding import (
    EncodedRows,
    encode_entity_keys,
    encode_texts,
    encode_values,
)
from streams.offline.parts import write_part


@dataclass(frozen=True, kw_only=True)
class View:
    """A feature view and the table it stands for; equal by name of its columns' roles.

    `time` is the event time column in milliseconds and never null; `revision` the column that
    orders rows of one time, where there is one.
    """

    name: str
    service: str
    schema: pa.Schema
    key: str
    time: str
    revision: str | None = None

    @property
    def features(self) -> list[str]:
        """All columns but the key."""
        return [name for name in self.schema.names if name != self.key]

    def checked(self, rows: pa.Table) -> pa.Table:
        """`rows` with exactly the view's columns; ValueError names what does not fit."""
        missing = [name for name in self.schema.names if name not in rows.column_names]
        if missing:
            raise ValueError(f"{self.name}: columns {missing} are missing from the rows to write")
        rows = rows.select(self.schema.names)
        for field in self.schema:
            if not field.nullable and rows[field.name].null_count:
                raise ValueError(f"{self.name}: column {field.name} must not hold a null")
        try:
            return rows.cast(self.schema)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.name}: {error}") from error

    def encode(self, rows: pa.Table) -> EncodedRows:
        """The rows as an online store takes them."""
        columns = {name: _contiguous(rows[name]) for name in self.schema.names}
        times = [ms * 1000 for ms in columns[self.time].to_pylist()]
        revisions = columns[self.revision].to_pylist() if self.revision else [0] * len(times)
        return EncodedRows(
            entity_keys=encode_entity_keys(self.key, columns[self.key]),
            orders=list(zip(times, revisions, strict=True)),
            values={name: encode_values(columns[name]) for name in self.features},
            texts={name: encode_texts(columns[name]) for name in self.features},
        )

    def found(self, response: dict[str, list[Any]]) -> pa.Table:
        """The rows of Feast's response that the store holds."""
        rows = [i for i, time in enumerate(response[self.time]) if time is not None]
        columns = [
            pa.array([response[field.name][i] for i in rows], field.type) for field in self.schema
        ]
        return pa.table(columns, self.schema)

    def write_part(self, home: Path, part: str, rows: pa.Table) -> Path:
        """Write rows offline with the two timestamps that Feast orders them by."""
        event_us = np.asarray(rows[self.time]) * 1000
        created_us = event_us + (np.asarray(rows[self.revision]) if self.revision else 0)
        for name, times in (("event_timestamp", event_us), ("created", created_us)):
            rows = rows.append_column(name, pa.array(times).cast(pa.timestamp("us", "UTC")))
        return write_part(home / "data" / self.name, part, rows)

    def without_nulls(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A joined column with 0, no text or an empty list where nothing was known."""
        if not column.null_count:
            return column
        nothing = pa.scalar(_nothing(column.type), column.type)
        return pc.if_else(column.is_valid(), column, nothing)


SEQUENCES = View(
    name="user_sequence",
    service="ranker_v1",
    schema=SEQUENCE_SCHEMA,
    key="user_id",
    time="newest_event_time_ms",
    revision="revision",
)
ITEMS = View(
    name="item_catalogue",
    service="items_v1",
    schema=ITEM_SCHEMA,
    key="item_id",
    time="event_time_ms",
)
POPULARITY = View(
    name="item_popularity",
    service="popularity_v1",
    schema=POPULARITY_SCHEMA,
    key="item_id",
    time="event_time_ms",
)
GENERATED = View(
    name="generated_behaviour",
    service="generated_v1",
    schema=GENERATED_SCHEMA,
    key="user_id",
    time="newest_event_time_ms",
    # Of those that rest on one event time the latest made counts: a late event, or a newer model.
    revision="generated_at_ms",
)
KNOWLEDGE = View(
    name="item_knowledge",
    service="knowledge_v1",
    schema=KNOWLEDGE_SCHEMA,
    key="item_id",
    time="event_time_ms",
)


def _nothing(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else 0


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    chunk = column.combine_chunks()
    return chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk
