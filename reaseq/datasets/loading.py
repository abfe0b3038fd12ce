"""From the columns of a user's files to a table of events and a table of items in DuckDB.

The tables spill to disk beyond the memory limit, so the log need not fit in memory:
`raw` (fields as text) → `checked` (typed, with a reason where a row is not an event) →
`log_events`.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from reaseq.datasets.errors import FileError
from reaseq.datasets.mapping import DESCRIPTIONS, EVENT_FIELDS
from reaseq.datasets.options import ReadOptions
from reaseq.datasets.relation import first_line_of, literal
from reaseq.datasets.source import TEXT_HINT
from reaseq.datasets.times import check_times, time_ms_sql
from reaseq.events import MAX_ID_LENGTH, EventType

BROKEN_ROW = "empty or broken row"
NOT_WANTED = "not wanted (--where)"
_IDS = ("user_id", "item_id", "event_id")


def load_raw(
    con: duckdb.DuckDBPyConnection, fields: Mapping[str, str], view: str, where: str | None
) -> None:
    """Make `raw`: field → SQL of each as text columns, in the order of the files.

    A row that `where` does not want keeps nothing but its place. Raises FileError where a value
    breaks an expression of the user or a file breaks off.
    """
    condition = f"coalesce(CAST(({where}) AS BOOLEAN), false)" if where else "true"
    columns = ", ".join(
        f"CASE WHEN {condition} THEN {fields.get(name, 'NULL')} END::VARCHAR AS {name}"
        for name in EVENT_FIELDS
    )
    run(con, f"CREATE TABLE raw AS SELECT {condition} AS is_wanted, {columns} FROM {view}")


def run(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Execute SQL that reads a user's files. Raises FileError in the user's terms."""
    try:
        con.execute(sql)
    except duckdb.OutOfMemoryException as error:
        raise FileError(f"not enough memory or disk: {first_line_of(error)}") from None
    except (duckdb.BinderException, duckdb.ParserException, duckdb.ConversionException) as error:
        raise FileError(f"{first_line_of(error)} ({TEXT_HINT})") from None
    except duckdb.Error as error:
        raise FileError(
            f"the files cannot be read: {first_line_of(error)}. Check that they are whole"
        ) from None


def check_rows(
    con: duckdb.DuckDBPyConnection, options: ReadOptions, has_types: bool, has_ids: bool
) -> None:
    """Make `checked` from `raw`. Raises FileError for unclear times and unknown types."""
    check_times(con, options.time_unit, options.time_format)
    if has_types:
        _check_types(con, options.types)
    event_type = _type_sql(options.types) if has_types else literal(EventType.PURCHASE.value)
    con.execute(
        f"""CREATE TABLE checked AS SELECT * EXCLUDE (is_wanted),
        {_reason_sql(options.types, has_types, has_ids)} AS reason FROM (
            SELECT rowid AS place, is_wanted, user_id, item_id, event_id, event_time,
            event_type AS source_type, {event_type} AS event_type,
            {time_ms_sql("event_time", options.time_unit, options.time_format)} AS event_time_ms,
            value AS source_value, number(value) AS value,
            title, price AS source_price, number(price) AS price, description FROM raw)"""
    )
    con.execute("DROP TABLE raw")


def make_events(con: duckdb.DuckDBPyConnection, has_ids: bool) -> None:
    """Make `log_events` from `checked`.

    Without ids in the file one is made: the hash of user, item, type and time as a JSON list, and
    which of the rows alike it is, in the order of the file. So reading again gives the same ids,
    and a file that has grown at its end keeps those of its beginning.
    """
    content = "to_json([user_id, item_id, event_type, CAST(event_time_ms AS VARCHAR)])"
    made = (
        f"left(sha256({content}), 32) || '-' || (row_number() OVER "
        "(PARTITION BY user_id, item_id, event_type, event_time_ms ORDER BY place) - 1)"
    )
    con.execute(
        f"""CREATE TABLE log_events AS SELECT place, {"event_id" if has_ids else made} AS event_id,
        user_id, item_id, event_type, event_time_ms, value FROM checked WHERE reason IS NULL"""
    )


def _check_types(con: duckdb.DuckDBPyConnection, types: Mapping[str, str | None]) -> None:
    known = (*types, *(event_type.value for event_type in EventType))
    names = ", ".join(literal(name) for name in known)
    unknown = con.execute(
        f"""SELECT any_value(event_type), count(*) FROM raw WHERE lower(trim(event_type))
        NOT IN ({names}) GROUP BY lower(trim(event_type)) ORDER BY 2 DESC, 1 LIMIT 5"""
    ).fetchall()
    if unknown:
        listed = ", ".join(f"'{name}' ({count:,} rows)" for name, count in unknown)
        raise FileError(
            f"unknown event types {listed}: translate each with --types '{unknown[0][0]}=TYPE', "
            f"TYPE being one of {', '.join(EventType)}, or leave it out with "
            f"--types '{unknown[0][0]}='"
        )


def _type_sql(types: Mapping[str, str | None]) -> str:
    cases = " ".join(
        f"WHEN {literal(source)} THEN {literal(target) if target else 'NULL'}"
        for source, target in types.items()
    )
    name = "lower(trim(event_type))"
    return f"CASE {name} {cases} ELSE {name} END" if cases else name


def _reason_sql(types: Mapping[str, str | None], has_types: bool, has_ids: bool) -> str:
    """The first thing that keeps a row from being an event, or NULL."""
    dropped = ", ".join(literal(name) for name, target in types.items() if target is None)
    needed = ("user_id", "item_id", *(["event_id"] if has_ids else []))
    cases = [
        f"WHEN NOT is_wanted THEN {literal(NOT_WANTED)}",
        f"WHEN coalesce(user_id, item_id, event_time) IS NULL THEN {literal(BROKEN_ROW)}",
        *(["WHEN source_type IS NULL THEN 'without an event_type'"] if has_types else []),
        *(
            [
                f"WHEN lower(trim(source_type)) IN ({dropped}) "
                "THEN 'event type ' || lower(trim(source_type)) || ' (--types)'"
            ]
            if dropped and has_types
            else []
        ),
        *(f"WHEN {name} IS NULL THEN 'without a usable {name}'" for name in needed),
        *(
            f"WHEN length({name}) > {MAX_ID_LENGTH} "
            f"THEN '{name} of more than {MAX_ID_LENGTH} characters'"
            for name in needed
        ),
        "WHEN event_time IS NULL THEN 'without a usable event_time'",
        "WHEN event_time_ms IS NULL THEN 'event_time is not a time between 1970 and 2100'",
    ]
    return f"CASE {' '.join(cases)} END"


def make_items(con: duckdb.DuckDBPyConnection, fields: Mapping[str, str], view: str | None) -> None:
    """Make `log_items`: one row per item of the events, and per item of the view of items.

    Title, price and description are the last that the file of items gives, else the latest that
    the events give; a title that nobody gives is the id. An item is dated when it was first seen,
    one without events at the start of the log.
    """
    catalogue = {name: fields.get(name, "NULL") for name in ("item_id", *DESCRIPTIONS)}
    columns = ", ".join(f"({sql})::VARCHAR AS {name}" for name, sql in catalogue.items())
    rows = f"SELECT {columns} FROM {view}" if view else f"SELECT {columns} WHERE false"
    run(con, f"CREATE TABLE catalogue AS {rows}")
    con.execute(
        f"""CREATE TABLE log_items AS
        WITH seen AS (SELECT item_id, min(event_time_ms) AS event_time_ms,
            {_latest("(event_time_ms, place)", "price")} FROM checked WHERE reason IS NULL
            GROUP BY item_id),
        described AS (SELECT item_id, {_latest("rowid", "number(price)")} FROM catalogue
            WHERE length(item_id) <= {MAX_ID_LENGTH} GROUP BY item_id)
        SELECT item_id, coalesce(d.title, s.title, item_id) AS title,
        coalesce(d.price, s.price) AS price, coalesce(d.description, s.description) AS description,
        coalesce(s.event_time_ms, (SELECT min(event_time_ms) FROM seen)) AS event_time_ms
        FROM seen s FULL JOIN described d USING (item_id)"""
    )


def _latest(order: str, price: str) -> str:
    return (
        f"arg_max(trim(title), {order}) FILTER (trim(title) <> '') AS title, "
        f"arg_max({price}, {order}) FILTER ({price} > 0) AS price, "
        f"arg_max(trim(description), {order}) FILTER (trim(description) <> '') AS description"
    )
