"""Any CSV or Parquet file with named columns as a log: `--map user_id=customer,item_id=sku,…`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from reaseq.datasets.event_log import EventLog, items_of
from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA

REQUIRED = ("user_id", "item_id", "event_time")
OPTIONAL = ("event_id", "event_type", "value", "title", "price")

IDENTITY = ("user_id", "item_id", "event_type", "event_time_ms")
"""What makes an event where the source has no event id."""

SECONDS_BELOW = 100_000_000_000
"""A whole number below this is a time in seconds (until the year 5138), above it in milliseconds."""


def parse_mapping(text: str) -> dict[str, str]:
    """Read "field=column,field=column". Raises ValueError for an unknown field or a wrong shape."""
    mapping: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise ValueError(f"'{pair}' is not field=column")
        if field not in REQUIRED + OPTIONAL:
            raise ValueError(f"unknown field '{field}': choose among {', '.join(REQUIRED + OPTIONAL)}")
        mapping[field] = column
    return mapping


def read_log(file: Path, mapping: Mapping[str, str], types: Mapping[str, str] | None = None) -> EventLog:
    """Read a CSV or Parquet file as a log.

    `mapping` names the column of each field; a field not named is looked for under its own name.
    `event_time` may be a timestamp, an ISO 8601 string, or whole seconds or milliseconds since 1970
    (UTC). Without an `event_type` every row is a purchase; `types` translates foreign type names.
    Without an `event_id` one is made from the row's content, so that reading again gives the same.

    Rows without user, item or readable time are left out and counted. Raises ValueError when a
    column is missing or an event type is unknown, with what to do.
    """
    source = _read(file)
    columns = _columns(source, mapping)
    events, left_out = _complete(columns, types or {})
    titles = events["title"] if "title" in events.column_names else pa.nulls(len(events), pa.string())
    prices = events["price"] if "price" in events.column_names else pa.nulls(len(events))
    items = items_of(
        events["item_id"], titles, pc.cast(prices, pa.float64()), events["event_time_ms"]
    )
    return EventLog(events.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA), items, left_out)


def _read(file: Path) -> pa.Table:
    if not file.exists():
        raise ValueError(f"{file} does not exist")
    try:
        if file.suffix == ".parquet":
            return pq.read_table(file)
        return pyarrow.csv.read_csv(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} cannot be read as CSV or Parquet: {error}") from None


def _columns(source: pa.Table, mapping: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
    have = ", ".join(source.column_names)
    columns = {}
    for field in REQUIRED + OPTIONAL:
        column = mapping.get(field, field)
        if column in source.column_names:
            columns[field] = source[column]
        elif field in mapping or field in REQUIRED:
            raise ValueError(
                f"no column '{column}' for {field}; the file has {have}. "
                f"Name it with --map {field}=COLUMN"
            )
    return columns


def _complete(
    columns: dict[str, pa.ChunkedArray], types: Mapping[str, str]
) -> tuple[pa.Table, dict[str, int]]:
    """All fields of an event for every usable row, by time."""
    times_ms = times_in_ms(columns.pop("event_time"))
    table = pa.table(
        {
            **columns,
            "user_id": _text(columns["user_id"]),
            "item_id": _text(columns["item_id"]),
            "event_time_ms": times_ms,
            "value": pc.cast(columns["value"], pa.float64())
            if "value" in columns
            else pa.nulls(len(times_ms), pa.float64()),
            "event_type": _event_types(columns.get("event_type"), len(times_ms), types),
        }
    )
    left_out = {}
    for field in ("user_id", "item_id", "event_time_ms"):
        usable = table.filter(pc.is_valid(table[field]))
        left_out[f"without {field}"] = table.num_rows - usable.num_rows
        table = usable
    table = table.sort_by([("event_time_ms", "ascending")])
    if "event_id" not in columns:
        table = table.append_column("event_id", content_ids(*(table[name] for name in IDENTITY)))
    else:
        table = table.set_column(
            table.column_names.index("event_id"), "event_id", _text(table["event_id"])
        )
    return table, left_out


def times_in_ms(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of times as milliseconds since 1970 UTC; null where it cannot be read."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64())
    if pa.types.is_integer(column.type):
        whole = pc.cast(column, pa.int64())
        return pc.if_else(pc.less(whole, SECONDS_BELOW), pc.multiply(whole, 1000), whole)
    if pa.types.is_string(column.type):
        return times_in_ms(pc.cast(column, pa.timestamp("ms", tz="UTC")))
    raise ValueError(f"event_time is {column.type}; give a timestamp, an ISO 8601 string or an integer")


def content_ids(*columns: pa.ChunkedArray) -> pa.Array:
    """Ids "a/b/…#n" made from the columns, numbered from 0 where several rows share them all."""
    base = pc.binary_join_element_wise(*(pc.cast(c, pa.string()) for c in columns), "/")
    seen: dict[str, int] = {}
    numbers = np.empty(len(base), dtype=np.int64)
    for place, name in enumerate(base.to_pylist()):
        numbers[place] = seen[name] = seen.get(name, -1) + 1
    return pc.binary_join_element_wise(base, pc.cast(pa.array(numbers), pa.string()), "#")


def _event_types(
    column: pa.ChunkedArray | None, num_rows: int, types: Mapping[str, str]
) -> pa.Array | pa.ChunkedArray:
    if column is None:
        return pa.repeat(EventType.PURCHASE.value, num_rows)
    found = pc.utf8_lower(_text(column))
    wanted = {source.lower(): target for source, target in types.items()}
    known = [event_type.value for event_type in EventType]
    for name in pc.unique(found).to_pylist():
        if wanted.get(name, name) not in known:
            raise ValueError(
                f"unknown event type '{name}': translate it with --types {name}=TYPE, "
                f"where TYPE is one of {', '.join(known)}"
            )
    names = [wanted.get(name, name) for name in found.to_pylist()]
    return pa.array(names, pa.string())


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Identifiers as text; an empty one is as good as none."""
    text = pc.cast(column, pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
