"""Any CSV or Parquet file with named columns as a log: `--map user_id=customer,item_id=sku,…`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from reaseq.datasets.columns import content_ids, identifiers, numbers, texts, times_in_ms
from reaseq.datasets.event_log import EventLog, items_of
from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA

REQUIRED = ("user_id", "item_id", "event_time")
OPTIONAL = ("event_id", "event_type", "value", "title", "price")

IDENTITY = ("user_id", "item_id", "event_type", "event_time_ms")
"""What makes an event where the source has no event id."""


def parse_mapping(text: str) -> dict[str, str]:
    """Read "field=column,field=column". Raises ValueError for an unknown field or a wrong shape."""
    mapping: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise ValueError(f"'{pair}' is not field=column")
        if field not in REQUIRED + OPTIONAL:
            raise ValueError(
                f"unknown field '{field}': choose among {', '.join(REQUIRED + OPTIONAL)}"
            )
        mapping[field] = column
    return mapping


def read_log(
    file: Path, mapping: Mapping[str, str], types: Mapping[str, str] | None = None
) -> EventLog:
    """Read a CSV or Parquet file as a log.

    `mapping` names the column of each field; a field not named is looked for under its own name.
    `event_time` may be a timestamp, an ISO 8601 string, or seconds or milliseconds since 1970, UTC.
    Without an `event_type` every row is a purchase; `types` translates foreign type names.
    Without an `event_id` one is made from the row's content, so that reading again gives the same.

    Rows without a usable user, item, time, event id or type are left out and counted. Raises
    ValueError, saying what to do, when the file or a column cannot be read or a type is unknown.
    """
    source = _read(file, mapping)
    rows, left_out = _usable(_fields(_columns(source, mapping), types or {}))
    items = items_of(rows["item_id"], rows["title"], rows["price"], rows["event_time_ms"])
    return EventLog(rows.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA), items, left_out)


def _read(file: Path, mapping: Mapping[str, str]) -> pa.Table:
    if not file.is_file():
        raise ValueError(f"{file} is no file")
    try:
        if file.suffix == ".parquet":
            return pq.read_table(file)
        return pyarrow.csv.read_csv(file, convert_options=_csv_options(mapping))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} cannot be read as CSV or Parquet: {error}") from None


def _csv_options(mapping: Mapping[str, str]) -> pyarrow.csv.ConvertOptions:
    """Read the columns as text: a guessed type would lose the zeros of "00123".

    What CSV files write for a missing value (NULL, NA, NaN …) is missing.
    """
    columns = {mapping.get(field, field): pa.string() for field in REQUIRED + OPTIONAL}
    return pyarrow.csv.ConvertOptions(column_types=columns, strings_can_be_null=True)


def _columns(source: pa.Table, mapping: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
    have = ", ".join(source.column_names)
    columns = {}
    for field in REQUIRED + OPTIONAL:
        column = mapping.get(field, field)
        if source.column_names.count(column) > 1:
            raise ValueError(f"the file has two columns '{column}'; rename the wrong one")
        if column in source.column_names:
            columns[field] = source[column]
        elif field in mapping or field in REQUIRED:
            raise ValueError(
                f"no column '{column}' for {field}; the file has {have}. "
                f"Name it with --map {field}=COLUMN"
            )
    return columns


def _fields(columns: dict[str, pa.ChunkedArray], types: Mapping[str, str]) -> pa.Table:
    """All fields of an event and its item for every row; a missing column is a column of nulls."""
    missing = pa.nulls(len(columns["event_time"]))
    fields = {
        "user_id": identifiers(columns["user_id"], "user_id"),
        "item_id": identifiers(columns["item_id"], "item_id"),
        "event_time_ms": times_in_ms(columns["event_time"]),
        "event_type": _event_types(columns.get("event_type"), len(missing), types),
        "value": numbers(columns.get("value", missing), "value"),
        "title": texts(columns.get("title", missing), "title"),
        "price": numbers(columns.get("price", missing), "price"),
    }
    if "event_id" in columns:
        fields["event_id"] = identifiers(columns["event_id"], "event_id")
    return pa.table(fields)


def _usable(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The rows that are events, by time and with an id each, and how many others lack what."""
    needed = [*IDENTITY, *({"event_id"} & set(rows.column_names))]
    left_out = {}
    for field in needed:
        usable = rows.filter(pc.is_valid(rows[field]))
        left_out[f"without a usable {field}"] = rows.num_rows - usable.num_rows
        rows = usable
    rows = rows.sort_by([("event_time_ms", "ascending")])
    if "event_id" not in needed:
        rows = rows.append_column("event_id", content_ids(*(rows[name] for name in IDENTITY)))
    return rows, left_out


def _event_types(
    column: pa.ChunkedArray | None, num_rows: int, types: Mapping[str, str]
) -> pa.Array:
    known = [event_type.value for event_type in EventType]
    for target in types.values():
        if target not in known:
            raise ValueError(f"--types: '{target}' is none of {', '.join(known)}")
    if column is None:
        return pa.repeat(EventType.PURCHASE.value, num_rows)
    wanted = {name: name for name in known} | {name.lower(): types[name] for name in types}
    names = pc.utf8_lower(texts(column, "event_type")).to_pylist()
    for name in dict.fromkeys(names):
        if name is not None and name not in wanted:
            raise ValueError(
                f"unknown event type '{name}': translate it with --types {name}=TYPE, "
                f"where TYPE is one of {', '.join(known)}"
            )
    return pa.array([wanted.get(name) for name in names], pa.string())
