"""Counts of what a loaded log left out, and what in it looks odd, each with an example."""

from __future__ import annotations

import duckdb

from reaseq.datasets.report import LeftOut
from reaseq.events import shown_time

MIN_UNLIKELY_EVENTS = 1000
MIN_UNLIKELY_SHARE = 0.05
MIN_USERS = 100
"""From this many users on, one with more than these is unlikely to be a person."""

MAX_EXAMPLE = 200
"""Characters of an example."""


def left_out_rows(con: duckdb.DuckDBPyConnection) -> tuple[LeftOut, ...]:
    """Rows of `checked` that are not events, most frequent reason first."""
    rows = con.execute(
        """SELECT reason, count(*) AS n, arg_min(concat_ws(', ', 'user_id=' || left(user_id, 60),
        'item_id=' || left(item_id, 60), 'event_time=' || event_time, 'event_type=' || source_type,
        'event_id=' || event_id), place)
        FROM checked WHERE reason IS NOT NULL GROUP BY reason ORDER BY n DESC, reason"""
    ).fetchall()
    return tuple(LeftOut(reason, num, str(example)[:MAX_EXAMPLE]) for reason, num, example in rows)


def rejected_lines(con: duckdb.DuckDBPyConnection) -> tuple[LeftOut, ...]:
    """Lines of CSV files that could not be split into their columns, by what is wrong."""
    tables = con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    if ("reject_errors",) not in tables:
        return ()
    rows = con.execute(
        f"""SELECT kind, count(*) AS n, arg_min(file, line), min(line), arg_min(text, line) FROM (
            SELECT lower(any_value(error_type)) AS kind, any_value(line) AS line,
            any_value(left(csv_line, {MAX_EXAMPLE})) AS text,
            any_value(parse_filename(file_path)) AS file
            FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
            GROUP BY scan_id, file_id, byte_position)
        GROUP BY kind ORDER BY n DESC, kind"""
    ).fetchall()
    return tuple(
        LeftOut(f"broken line ({kind})", num, f"{file} line {line}: {text!r}")
        for kind, num, file, line, text in rows
    )


def unreadable_values(con: duckdb.DuckDBPyConnection) -> tuple[LeftOut, ...]:
    """Values and prices that are not numbers."""
    queries = {
        "value": "SELECT source_value AS text FROM checked WHERE reason IS NULL AND value IS NULL",
        "price": "SELECT source_price AS text FROM checked WHERE reason IS NULL AND price IS NULL "
        "UNION ALL SELECT price FROM catalogue WHERE number(price) IS NULL",
    }
    found = []
    for field, query in queries.items():
        row = con.execute(f"SELECT count(text), any_value(text) FROM ({query})").fetchone()
        if row and row[0]:
            example = str(row[1])[:MAX_EXAMPLE]
            found.append(LeftOut(f"{field} is not a number", row[0], example))
    return tuple(found)


def shared_ids(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Say it where rows of one user have one event id and different content."""
    row = con.execute(
        """SELECT sum(n), arg_min(struct_pack(user_id, event_id), place) FROM (
            SELECT user_id, event_id, count(*) AS n, min(place) AS place,
            min(content) <> max(content) AS differ FROM (
                SELECT user_id, event_id, place,
                hash(item_id, event_type, event_time_ms, value) AS content FROM log_events)
            GROUP BY user_id, event_id)
        WHERE differ"""
    ).fetchone()
    if row is None or row[0] is None:
        return ()
    num, first = row
    return (
        f"event_id: {int(num):,} of {count_of(con, 'log_events'):,} rows share an id with other "
        f"content: is it an order number? For example {_sharing(con, **first)}. Of such rows one "
        "is kept: map another column, or --map 'event_id=to_json([ORDER, ITEM])' with the columns "
        "that name a row together",
    )


def _sharing(con: duckdb.DuckDBPyConnection, user_id: str, event_id: str) -> str:
    """The first two contents of an event id of a user."""
    rows = con.execute(
        """SELECT item_id, event_type, event_time_ms, value FROM log_events
        WHERE user_id = ? AND event_id = ? GROUP BY ALL ORDER BY min(place) LIMIT 2""",
        [user_id, event_id],
    ).fetchall()
    both = " and ".join(_content(*row) for row in rows)
    return f"{event_id[:MAX_EXAMPLE]!r} of user {user_id[:MAX_EXAMPLE]!r}: {both}"


def _content(item_id: str, event_type: str, event_time_ms: int, value: float | None) -> str:
    worth = "" if value is None else f" for {value:g}"
    return f"{event_type} of {item_id[:MAX_EXAMPLE]!r}{worth} at {shown_time(event_time_ms)}"


def unlikely_users(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Name a user who has more of the events than a person would."""
    row = con.execute(
        """SELECT user_id, n, num_users, num_events FROM (
            SELECT user_id, count(*) AS n, count(*) OVER () AS num_users,
            sum(count(*)) OVER () AS num_events FROM log_events GROUP BY user_id)
        ORDER BY n DESC, user_id LIMIT 1"""
    ).fetchone()
    if row is None:
        return ()
    user, num, num_users, num_events = row
    share = num / float(num_events)
    if num <= MIN_UNLIKELY_EVENTS or share <= MIN_UNLIKELY_SHARE or num_users < MIN_USERS:
        return ()
    return (
        f"user {user!r} has {num:,} of the events ({share:.0%}): if that means nobody, leave it "
        "out with --where",
    )


def float_ids(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Say it where all ids of a column end in ".0", as pandas writes whole numbers."""
    found = []
    for field in ("user_id", "item_id"):
        row = con.execute(f"SELECT bool_and({field} LIKE '%_.0') FROM log_events").fetchone()
        if row and row[0]:
            found.append(
                f"every {field} ends in '.0' and is kept so: --map "
                f"\"{field}=regexp_replace(COLUMN, '[.]0$', '')\" takes it off"
            )
    return tuple(found)


def count_of(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table."""
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])
