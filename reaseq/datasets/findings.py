"""Counts of what a loaded log left out, and what in it looks odd, each with an example."""

from __future__ import annotations

import duckdb

from reaseq.datasets.report import LeftOut

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
    """Say it where rows of different content have one event id."""
    row = con.execute(
        """SELECT sum(n), any_value(event_id) FROM (SELECT event_id, count(*) AS n FROM log_events
        GROUP BY event_id HAVING count(*) > 1 AND count(DISTINCT
            (user_id, item_id, event_type, event_time_ms, coalesce(value, 0))) > 1)"""
    ).fetchone()
    if row is None or row[0] is None:
        return ()
    return (
        f"event_id: {int(row[0]):,} of {count_of(con, 'log_events'):,} events share an id with "
        f"another one, for example {row[1]!r}: is it an order number? Such events replace each "
        "other; map another column, or --map event_id=concat_ws('|', order, item)",
    )


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
