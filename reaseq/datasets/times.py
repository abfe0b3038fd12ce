"""SQL of times as other people's files write them, and the refusal of what may mean two things."""

from __future__ import annotations

import re

import duckdb

from reaseq.datasets.errors import FileError
from reaseq.datasets.options import TimeUnit
from reaseq.datasets.relation import literal
from reaseq.events import MAX_EVENT_TIME_MS

YEAR_MS = 365 * 24 * 3600 * 1000

NUMBER = r"\+?\d+(\.\d*)?([eE][+-]?\d+)?"
DAY = r"(19[7-9]\d|20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
"""Eight digits that are a day between 1970 and 2100."""
ISO = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?([+-]\d{2}(:?\d{2})?)?)?"
)
HALF_DAYS = r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]"
DAY_OR_MONTH_FIRST = r"\d{1,2}([./-])\d{1,2}[./-]\d{2,4}([ T].*)?"

TIME_MACRO = f"""
CREATE MACRO usable_time(ms) AS CASE
    WHEN ms >= 0 AND ms < {MAX_EVENT_TIME_MS} THEN CAST(ms AS BIGINT) END;
"""


def time_ms_sql(text: str, unit: TimeUnit | None, time_format: str | None) -> str:
    """SQL of a text column as milliseconds since 1970 UTC; NULL where it is not a time.

    The connection must know `TIME_MACRO`. With a format: by strptime. Else ISO 8601 (UTC where it
    names no zone; " UTC", " GMT", "Z", "+0100", "+00" are understood), and numbers in `unit`. One
    without a unit is recognised by its size: seconds, milliseconds, microseconds or nanoseconds
    since 1970, or a day as yyyymmdd. Times before 1970 and from 2100 on are NULL.
    """
    text = f"trim({text})"
    if time_format:
        ms = f"epoch_us(try_strptime({text}, {literal(time_format)})) // 1000"
    else:
        ms = (
            f"CASE WHEN regexp_full_match({text}, '{NUMBER}') THEN {_number_ms(text, unit)} "
            f"WHEN regexp_full_match({text}, '{HALF_DAYS}') "
            rf"THEN epoch_ms(try_strptime(regexp_replace({text}, ' ?([AaPp][Mm])$', '\1'), "
            f"'%Y-%m-%d %I:%M:%S%p')) ELSE {_iso_ms(text)} END"
        )
    return f"usable_time({ms})"


def _number_ms(text: str, unit: TimeUnit | None) -> str:
    """Fractions of a millisecond are cut. Decimals, because a float cannot hold nanoseconds."""
    number = f"TRY_CAST({text} AS DECIMAL(28, 6))"
    in_ms: dict[TimeUnit, str] = {
        "s": f"CAST(floor({number} * 1000) AS HUGEINT)",
        "ms": f"CAST(floor({number}) AS HUGEINT)",
        "us": f"CAST(floor({number}) AS HUGEINT) // 1000",
        "ns": f"CAST(floor({number}) AS HUGEINT) // 1000000",
    }
    if unit:
        return in_ms[unit]
    return (
        f"CASE WHEN regexp_full_match({text}, '{DAY}') "
        f"THEN epoch_ms(try_strptime({text}, '%Y%m%d')) "
        f"WHEN {number} < {10**11} THEN {in_ms['s']} WHEN {number} < {10**14} THEN {in_ms['ms']} "
        f"WHEN {number} < {10**17} THEN {in_ms['us']} ELSE {in_ms['ns']} END"
    )


def _iso_ms(text: str) -> str:
    zoned = rf"regexp_replace({text}, ' ?(UTC|GMT|Z)$', '+00')"
    joined = rf"regexp_replace({zoned}, ' ([+-]\d\d(:?\d\d)?)$', '\1')"
    return (
        f"CASE WHEN regexp_full_match({joined}, '{ISO}') "
        f"THEN epoch_us(TRY_CAST({joined} AS TIMESTAMPTZ)) // 1000 END"
    )


def check_times(
    con: duckdb.DuckDBPyConnection, unit: TimeUnit | None, time_format: str | None
) -> None:
    """Raise FileError where the column `event_time` of the table `raw` is not clear as a whole.

    That is: day and month may be swapped, nothing can be read, or numbers all lie in 1970.
    """
    row = con.execute(
        f"""SELECT count(event_time), count(ms), max(ms), any_value(event_time),
        count(*) FILTER (regexp_full_match(trim(event_time), '{DAY_OR_MONTH_FIRST}')),
        any_value(event_time) FILTER (regexp_full_match(trim(event_time), '{DAY_OR_MONTH_FIRST}')),
        count(*) FILTER (regexp_full_match(trim(event_time), '{NUMBER}'))
        FROM (SELECT event_time, {time_ms_sql("event_time", unit, time_format)} AS ms FROM raw)"""
    ).fetchone()
    assert row is not None
    num_values, num_read, newest_ms, example, num_swappable, swappable, num_numbers = row
    if not num_values:
        return
    if not time_format and 2 * num_swappable >= num_values:
        raise FileError(_which_is_the_month(swappable))
    if not num_read:
        raise FileError(_unreadable(example, time_format))
    if not (unit or time_format) and num_numbers == num_values and newest_ms < YEAR_MS:
        raise FileError(
            f"every event_time lies in 1970, for example {example!r}: say what the numbers count "
            "with --time-unit s, ms, us or ns, or give their form with --time-format"
        )


def _which_is_the_month(example: str) -> str:
    """Both formats that the example may be in, spelled out."""
    found = re.match(r"\d+([./-])\d+[./-](\d+)([ T]?)(.*)", example.strip())
    assert found is not None
    mark, year, gap, clock = found.groups()
    tail = ("%Y" if len(year) == 4 else "%y") + gap + _clock_format(clock)
    day_first, month_first = f"%d{mark}%m{mark}{tail}", f"%m{mark}%d{mark}{tail}"
    return (
        f"event_time {example!r} may be day or month first: add --time-format '{day_first}' "
        f"or --time-format '{month_first}'"
    )


def _clock_format(clock: str) -> str:
    if not clock:
        return ""
    half_days = bool(re.search("[AaPp][Mm]$", clock))
    clock_format = ("%I" if half_days else "%H") + ":%M" + (":%S" if clock.count(":") > 1 else "")
    return clock_format + (" %p" if half_days else "")


def _unreadable(example: str, time_format: str | None) -> str:
    if time_format:
        return f"--time-format '{time_format}' does not fit event_time {example!r}: change it"
    return (
        f"no event_time can be read as a time between 1970 and 2100, for example {example!r}: give "
        "its form, for example --time-format '%d %b %Y %H:%M', or the unit of numbers, --time-unit"
    )
