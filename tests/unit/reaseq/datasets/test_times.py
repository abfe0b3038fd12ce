"""A moment is read in every way of writing it that has one meaning, and refused in the others."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.datasets.errors import FileError
from reaseq.datasets.options import TimeUnit
from reaseq.datasets.times import check_times, time_ms_sql
from reaseq.events import MAX_EVENT_TIME_MS

NOON_MS = 1_291_204_800_250
DAY_MS = 1_604_188_800_000


def times_ms(
    con: duckdb.DuckDBPyConnection,
    texts: list[str | None],
    unit: TimeUnit | None = None,
    time_format: str | None = None,
) -> list[int | None]:
    con.execute("CREATE OR REPLACE TEMP TABLE raw (event_time VARCHAR)")
    con.executemany("INSERT INTO raw VALUES ($1)", [[text] for text in texts])
    check_times(con, unit, time_format)
    rows = con.execute(f"SELECT {time_ms_sql('event_time', unit, time_format)} FROM raw").fetchall()
    return [ms for (ms,) in rows]


@pytest.mark.parametrize(
    "text",
    [
        "2010-12-01T12:00:00.250Z",
        "2010-12-01 12:00:00.250 UTC",
        "2010-12-01 12:00:00.250 GMT",
        "2010-12-01 12:00:00.250",
        "2010/12/01 12:00:00.250",
        " 2010-12-01T12:00:00.250999 ",
        "2010-12-01T17:30:00.250+05:30",
        "2010-12-01 13:00:00.250 +0100",
        "2010-12-01 12:00:00.250000+00",
        "2010-12-01T07:00:00.250-0500",
        "1291204800.25",
        "1291204800250",
        "1291204800250.0",
        "1.29120480025e12",
        "1291204800250999",
        "1291204800250999999",
    ],
)
def test_every_way_to_write_one_moment_is_that_moment(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    """ISO 8601 with any zone, and numbers of any unit, alone in their column."""
    assert times_ms(con, [text]) == [NOON_MS]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2020-11-01", DAY_MS),
        ("20201101", DAY_MS),
        ("2020-11-01 03:04:05 PM", DAY_MS + (15 * 3600 + 245) * 1000),
        ("2020-11-01 12:04:05am", DAY_MS + 245 * 1000),
        ("2020-11-01T03:04", DAY_MS + (3 * 3600 + 240) * 1000),
        ("978300760", 978_300_760_000),
    ],
)
def test_days_and_clocks_lose_nothing(con: duckdb.DuckDBPyConnection, text: str, ms: int) -> None:
    """A day is its midnight in UTC; an afternoon is not taken for a morning."""
    assert times_ms(con, [text]) == [ms]


@given(second=st.integers(1_000_000_000, MAX_EVENT_TIME_MS // 1000 - 1))
@settings(deadline=None, max_examples=15)
def test_any_second_from_2001_on_survives_every_way_of_writing(
    con: duckdb.DuckDBPyConnection, second: int
) -> None:
    """All units by their size, and the calendar in all its spellings."""
    moment = datetime.fromtimestamp(second, UTC)
    ways = [str(second * 10**power) for power in (0, 3, 6, 9)]
    ways += [moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC", f"{moment:%Y-%m-%dT%H:%M:%SZ}"]
    assert set(times_ms(con, [*ways])) == {second * 1000}


@given(second=st.integers(0, 4_000_000))
@settings(deadline=None, max_examples=15)
def test_a_unit_that_is_given_holds_for_any_number(
    con: duckdb.DuckDBPyConnection, second: int
) -> None:
    """Also for the early ones, which by their size would be something else."""
    units: list[TimeUnit] = ["s", "ms", "us", "ns"]
    for power, unit in zip((0, 3, 6, 9), units, strict=True):
        assert times_ms(con, [str(second * 10**power)], unit) == [second * 1000]


def test_eight_digits_are_seconds_where_the_unit_says_so(con: duckdb.DuckDBPyConnection) -> None:
    """A unit overrules the day."""
    assert times_ms(con, ["20201101"], "s") == [20_201_101_000]


@pytest.mark.parametrize(
    "text",
    [
        *("soon", "-5", "nan", "1e400", "2100-01-01", "1969-12-31", "2020-13-01", "2020-02-30"),
        *("01.03.2020", "20200101103000", "2020-01-01 03:04:05 CET", "2020-01-01 25:00", None),
    ],
)
def test_what_is_no_time_is_missing_among_others(
    con: duckdb.DuckDBPyConnection, text: str | None
) -> None:
    """One bad line of a good column does not refuse it, nor become some other time."""
    good = "2020-11-01"
    assert times_ms(con, [good, text, good]) == [DAY_MS, None, DAY_MS]


@pytest.mark.parametrize(
    ("text", "day_first", "month_first"),
    [
        ("01.03.2020 09:41", "%d.%m.%Y %H:%M", "%m.%d.%Y %H:%M"),
        ("9/6/2016 6:29:00", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
        ("9/6/16 6:29 PM", "%d/%m/%y %I:%M %p", "%m/%d/%y %I:%M %p"),
        ("13-06-2016", "%d-%m-%Y", "%m-%d-%Y"),
    ],
)
def test_day_and_month_that_may_be_swapped_are_refused_with_both_formats(
    con: duckdb.DuckDBPyConnection, text: str, day_first: str, month_first: str
) -> None:
    """The formats offered fit the example: they can be pasted."""
    with pytest.raises(FileError) as caught:
        times_ms(con, [text, text, None])
    for time_format in (day_first, month_first):
        assert f"--time-format '{time_format}'" in str(caught.value)
    assert repr(text) in str(caught.value)
    assert times_ms(con, [text], time_format=day_first)[0] is not None


def test_a_format_decides(con: duckdb.DuckDBPyConnection) -> None:
    """The same text is two days."""
    first_of_march, third_of_january = 1_583_020_800_000, 1_578_009_600_000
    assert times_ms(con, ["01.03.2020"], time_format="%d.%m.%Y") == [first_of_march]
    assert times_ms(con, ["01.03.2020"], time_format="%m.%d.%Y") == [third_of_january]
    assert times_ms(con, ["2020-03-01 +0100"], time_format="%Y-%m-%d %z") == [
        first_of_march - 3_600_000
    ]


@pytest.mark.parametrize(
    ("texts", "time_format", "message"),
    [
        (["2020", "2021"], None, r"every event_time lies in 1970, for example '2020'.*--time-unit"),
        (["1", "2"], None, "--time-unit s, ms, us or ns"),
        (["Mar 2020"], None, r"no event_time can be read.*'Mar 2020'.*--time-format"),
        (["20200101103000"], None, "no event_time can be read"),
        (["2020-01-01"], "%d.%m.%Y", "'%d.%m.%Y' does not fit event_time '2020-01-01'"),
    ],
)
def test_a_column_that_means_nothing_is_refused_with_the_option_that_settles_it(
    con: duckdb.DuckDBPyConnection, texts: list[str | None], time_format: str | None, message: str
) -> None:
    """A wrong unit or format is a mistake in the call, not a million bad lines."""
    with pytest.raises(FileError, match=message):
        times_ms(con, texts, time_format=time_format)


def test_a_column_without_values_has_no_times(con: duckdb.DuckDBPyConnection) -> None:
    """Nothing to read is not the same as nothing readable; written dates in 1970 are meant."""
    assert times_ms(con, [None, None]) == [None, None]
    assert times_ms(con, ["1970-03-01"]) == [5_097_600_000]
