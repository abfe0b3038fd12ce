"""Foreign columns, whatever their type, mean what their owner means by them."""

from __future__ import annotations

import decimal
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.datasets.columns import content_ids, identifiers, numbers, times_in_ms
from reaseq.events import MAX_EVENT_TIME_MS, MAX_ID_LENGTH

NOON = datetime(2010, 12, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_MS = 1_291_204_800_250
IN_INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pa.array(["a", None, ""]), ["a", None, None]),
        (pa.array([17850, None]), ["17850", None]),
        (pa.array([17850.0, None]), ["17850", None]),
        (pa.array([17850.0, float("nan")]), ["17850", None]),
        (pa.array([12_345_678_901.0, 1e15, -3.0]), ["12345678901", "1000000000000000", "-3"]),
        (pa.array([1.5, 2.0]), ["1.5", "2"]),
        (pa.array(["17850.0", None, "3.0"]), ["17850", None, "3"]),
        (pa.array(["17850.0", "85123A"]), ["17850.0", "85123A"]),
        (pa.array(["1.10", "1.20"]), ["1.10", "1.20"]),
        (pa.array(["00123", " 7 "]), ["00123", " 7 "]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([5, None], pa.int32()).dictionary_encode(), ["5", None]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([b"a", None], pa.binary()), ["a", None]),
        (pa.nulls(2), [None, None]),
        (pa.array(["ü" * MAX_ID_LENGTH, "x" * (MAX_ID_LENGTH + 1)]), ["ü" * MAX_ID_LENGTH, None]),
    ],
)
def test_an_identifier_reads_as_its_owner_writes_it(
    column: pa.Array, ids: list[str | None]
) -> None:
    """No ".0", no exponent, no lost zeros; nothing, empty or too long is null."""
    for held in (column, pa.chunked_array([column])):
        found = identifiers(held, "user_id")
        assert found.type == pa.string()
        assert found.to_pylist() == ids


@given(st.lists(st.integers(-(2**53), 2**53) | st.none(), min_size=1))
@settings(deadline=None)
def test_a_whole_number_is_one_id_in_every_type(values: list[int | None]) -> None:
    """An integer, a float and the text that pandas writes of a float are the same user."""
    expected = [None if value is None else str(value) for value in values]
    assert identifiers(pa.array(values, pa.int64()), "user_id").to_pylist() == expected
    assert identifiers(pa.array(values, pa.float64()), "user_id").to_pylist() == expected
    written = pa.array([None if v is None else f"{v}.0" for v in values], pa.string())
    assert identifiers(written, "user_id").to_pylist() == expected


@pytest.mark.parametrize(
    "column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"\xff"], pa.binary())]
)
def test_a_column_that_is_no_text_is_refused_by_name(column: pa.Array) -> None:
    """Lists, structs and bytes that are no UTF-8 cannot be keys."""
    with pytest.raises(ValueError, match="user_id"):
        identifiers(column, "user_id")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON_MS]),
        pa.array([NOON_MS], pa.uint64()),
        pa.array([float(NOON_MS), None]),
        pa.array([NOON_MS / 1000]),
        pa.array([decimal.Decimal("1291204800.250")]),
        pa.array([str(NOON_MS)]),
        pa.array(["1291204800.25"]),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([NOON], pa.timestamp("us", "UTC")),
        pa.array([NOON.astimezone(IN_INDIA)], pa.timestamp("ns", "Asia/Kolkata")),
        pa.array(["2010-12-01T12:00:00.250Z"]),
        pa.array(["2010-12-01 12:00:00.250"]),
        pa.array(["2010-12-01T17:30:00.250+05:30"]),
        pa.array([" 2010-12-01T12:00:00.250999 "]),
        pa.array(["2010-12-01T12:00:00.250Z"]).dictionary_encode(),
        pa.array(["2010-12-01T12:00:00.250"], pa.large_string()),
    ],
)
def test_every_way_to_write_one_moment_is_that_moment(column: pa.Array) -> None:
    """Seconds, milliseconds, timestamps of any unit and zone, ISO 8601 with or without a zone."""
    assert times_in_ms(column)[0].as_py() == NOON_MS
    assert times_in_ms(pa.chunked_array([column]))[0].as_py() == NOON_MS


@pytest.mark.parametrize(
    "column", [pa.array([date(2010, 12, 1)]), pa.array(["2010-12-01"]), pa.array([1291161600])]
)
def test_a_date_is_its_midnight_in_utc(column: pa.Array) -> None:
    """Dates and whole seconds lose nothing and gain no offset."""
    assert times_in_ms(column).to_pylist() == [1_291_161_600_000]


@given(st.integers(0, MAX_EVENT_TIME_MS // 1000 - 1))
@settings(deadline=None)
def test_any_second_survives_every_way_of_writing(second: int) -> None:
    """Numbers, text, timestamps and ISO strings agree on every second of the range."""
    moment = datetime.fromtimestamp(second, UTC)
    ways: list[Any] = [second, float(second), str(second), moment.isoformat(), moment]
    for way in ways:
        assert times_in_ms(pa.array([way])).to_pylist() == [second * 1000]


def test_a_value_that_is_no_time_is_null_among_others() -> None:
    """One bad line of a good column: missing, before 1970, in microseconds, or no time at all."""
    good = "2010-12-01"
    bad = [None, "-5", str(NOON_MS * 1000), "1/12/2010 08:26", "soon", "", "nan", "inf"]
    assert times_in_ms(pa.array([good, *bad])).to_pylist() == [1_291_161_600_000] + 8 * [None]


def test_a_column_without_values_has_no_times() -> None:
    """Nothing to read is not the same as nothing readable."""
    assert times_in_ms(pa.nulls(2)).to_pylist() == [None, None]
    assert times_in_ms(pa.array([None, None], pa.string())).to_pylist() == [None, None]
    assert len(times_in_ms(pa.array([], pa.int64()))) == 0


@pytest.mark.parametrize(
    ("column", "sample"),
    [
        (pa.array([None, "1/12/2010 08:26"]), "'1/12/2010 08:26'"),
        (pa.array([NOON_MS * 1000, NOON_MS * 1000 + 1]), "'1291204800250000'"),
        (pa.array([-5]), "'-5'"),
        (pa.array([True]), "event_time is bool"),
        (pa.array([[1]]), "event_time is list"),
    ],
)
def test_a_column_with_no_time_in_it_is_refused_with_a_sample(
    column: pa.Array, sample: str
) -> None:
    """A wrong unit or format is a mistake in the call, not a million bad lines."""
    with pytest.raises(ValueError, match=r"ISO 8601") as caught:
        times_in_ms(column)
    assert sample in str(caught.value)


def test_numbers_are_read_from_numbers_and_text() -> None:
    """What is not finite is no number; what is no number is refused with the field's name."""
    assert numbers(pa.array(["2.5", " 3 ", None]), "value").to_pylist() == [2.5, 3.0, None]
    assert numbers(pa.array([1, None]), "value").to_pylist() == [1.0, None]
    odd = pa.array([float("nan"), float("inf"), -1.5])
    assert numbers(odd, "value").to_pylist() == [None, None, -1.5]
    with pytest.raises(ValueError, match=r"price must hold numbers.*£3"):
        numbers(pa.array(["£3"]), "price")


@given(
    rows=st.lists(
        st.tuples(st.text("ab/", max_size=3), st.integers(0, 2), st.text("x", max_size=300)),
        max_size=30,
    )
)
@settings(deadline=None)
def test_content_ids_are_distinct_short_and_the_same_again(
    rows: list[tuple[str, int, str]],
) -> None:
    """Equal rows are told apart by number; a longer file keeps the ids of its beginning."""
    columns = [
        pa.array([row[0] for row in rows], pa.string()),
        pa.array([row[1] for row in rows], pa.int64()),
        pa.array([row[2] for row in rows], pa.string()),
    ]
    ids = content_ids(*columns).to_pylist()
    assert len(set(ids)) == len(rows)
    assert all(1 <= len(name) <= MAX_ID_LENGTH for name in ids)
    half = len(rows) // 2
    assert content_ids(*(column[:half] for column in columns)).to_pylist() == ids[:half]


def test_content_ids_are_readable() -> None:
    """The parts joined by a slash, and which of the equal rows it is."""
    ids = content_ids(pa.array(["ann", "ann", "bob"]), pa.array([5, 5, 5]))
    assert ids.to_pylist() == ["ann/5#0", "ann/5#1", "bob/5#0"]
    assert pc.count_distinct(ids).as_py() == 3
