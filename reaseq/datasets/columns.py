"""Columns of foreign tables as what an event needs: identifiers, times, numbers.

Foreign columns come in every type that a CSV file, pandas or a warehouse writes. A value that
cannot be used becomes null, to be counted and left out with its row; a column that cannot hold what
it should is refused.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import MAX_EVENT_TIME_MS, MAX_ID_LENGTH
from reaseq.types import Float64s

SECONDS_BELOW = 100_000_000_000
"""A number below this is a time in seconds (until the year 5138), above it in milliseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_WHOLE_FLOAT = r"^-?[0-9]+\.0$"

Column: TypeAlias = pa.ChunkedArray | pa.Array


def texts(column: Column, field: str) -> Column:
    """A column as strings; empty ones are null. Raises ValueError for lists and the like."""
    column = _decoded(column)
    if pa.types.is_floating(column.type):
        # pandas turns whole numbers into floats where one is missing: 17850.0 means 17850.
        found: list[float | None] = column.to_pylist()
        text = pa.array([None if v is None else _number_text(v) for v in found], pa.string())
    else:
        try:
            text = pc.cast(column, pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"{field} is {column.type}, which is no text: {error}") from None
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def identifiers(column: Column, field: str) -> Column:
    """A column as identifiers, null where there is none or one longer than an event may have.

    Text in which every value ends in ".0" was a column of whole numbers that went through floats,
    and is read as those numbers.
    """
    text = texts(column, field)
    if pc.all(pc.match_substring_regex(text, _WHOLE_FLOAT)).as_py():
        text = pc.utf8_slice_codeunits(text, 0, -2)
    is_usable = pc.less_equal(pc.utf8_length(text), MAX_ID_LENGTH)
    return pc.if_else(is_usable, text, pa.scalar(None, pa.string()))


def numbers(column: Column, field: str) -> Column:
    """A column as float64, null where it is not finite. Raises ValueError for other text."""
    column = _decoded(column)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        values = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{field} must hold numbers: {error}") from None
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))


def times_in_ms(column: Column) -> pa.Array:
    """A column of times as milliseconds since 1970 UTC; null where there is none or it is no time.

    Takes timestamps, dates, ISO 8601 text (UTC where it names no zone), and seconds or milliseconds
    since 1970 as numbers or text. Times before 1970 and from 2100 on are wrong units, so null.
    Raises ValueError when not one value can be read.
    """
    column = _decoded(column)
    times = np.rint(_raw_times_ms(column))
    is_time = (times >= 0) & (times < MAX_EVENT_TIME_MS)
    if column.null_count < len(column) and not is_time.any():
        sample = next(value for value in column.to_pylist() if value is not None)
        raise ValueError(
            f"no event_time can be read, for example {str(sample)!r}: give a timestamp, an ISO "
            "8601 string, or seconds or milliseconds since 1970, between 1970 and 2100"
        )
    return pa.array(np.where(is_time, times, 0).astype(np.int64), mask=~is_time)


def content_ids(*columns: Column) -> pa.Array:
    """Ids "a/b/…#n" made from columns without nulls, numbered from 0 where rows share them all.

    A content too long for an identifier is replaced by its SHA-256.
    """
    contents = pc.binary_join_element_wise(*(pc.cast(c, pa.string()) for c in columns), "/")
    seen: dict[str, int] = {}
    ids = []
    for content in contents.to_pylist():
        number = seen[content] = seen.get(content, -1) + 1
        name = f"{content}#{number}"
        if len(name) > MAX_ID_LENGTH:
            name = f"{hashlib.sha256(content.encode()).hexdigest()}#{number}"
        ids.append(name)
    return pa.array(ids, pa.string())


def _raw_times_ms(column: Column) -> Float64s:
    """Milliseconds, NaN where there is no time."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        ms = pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64())
        return _floats(ms)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _floats(column)
        return np.where(values < SECONDS_BELOW, values * 1000, values)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_string(kind):
        return np.array([_text_ms(text) for text in column.to_pylist()], dtype=np.float64)
    raise ValueError(f"event_time is {kind}: give a timestamp, an ISO 8601 string or a number")


def _text_ms(text: str | None) -> float:
    if text is None:
        return np.nan
    try:
        number = float(text)
        return number * 1000 if number < SECONDS_BELOW else number
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return np.nan
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def _floats(column: Column) -> Float64s:
    values = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return np.asarray(values, dtype=np.float64)


def _number_text(value: float) -> str | None:
    if not np.isfinite(value):
        return None
    return f"{value:.0f}" if value.is_integer() else repr(value)


def _decoded(column: Column) -> Column:
    """Dictionaries and the rarer string types as plain columns."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _decoded(pc.cast(column, kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(column, pa.string())
    return column
