"""Identifiers stay as written; numbers are read in every spelling that has one meaning."""

from __future__ import annotations

import math
import sys
from unicodedata import category

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reaseq.datasets.values import MISSING, text_sql


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.5", 12.5),
        (" 3 ", 3.0),
        ("1e3", 1000.0),
        ("-4", -4.0),
        ("1,049.00", 1049.0),
        ("1.049,00", 1049.0),
        ("1.234.567", 1_234_567.0),
        ("1,049", 1049.0),
        ("1.049", 1.049),
        ("12,50", 12.5),
        ("0,5", 0.5),
        ("£3", 3.0),
        ("$1,234,567.89", 1_234_567.89),
        ("12,50 €", 12.5),
        ("EUR 12.50", 12.5),
        ("9.99 USD", 9.99),
        ("1 049,00", 1049.0),
        ("1\u00a0049,00", 1049.0),
        ("1'049.00", 1049.0),
        ("free", None),
        ("12,50,1", None),
        ("3 for 2", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_a_price_is_read_as_it_is_spelled(
    con: duckdb.DuckDBPyConnection, text: str, number: float | None
) -> None:
    """Thousands, decimal commas and currencies; what is no number is missing."""
    assert con.execute("SELECT number($1)", [text]).fetchall() == [(number,)]


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_any_number_survives_its_plain_spelling(
    con: duckdb.DuckDBPyConnection, value: float
) -> None:
    """What Python writes is read back bit by bit."""
    row = con.execute("SELECT number($1)", [repr(value)]).fetchone()
    assert row is not None
    assert math.copysign(1, row[0]) == math.copysign(1, value)
    assert row[0] == value


@given(cents=st.integers(0, 10**9))
@settings(deadline=None)
def test_any_amount_survives_both_ways_of_marking_thousands(
    con: duckdb.DuckDBPyConnection, cents: int
) -> None:
    """English and German spelling of an amount with cents are the same number."""
    english = f"{cents / 100:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    rows = con.execute("SELECT number($1), number($2)", [english, german]).fetchall()
    assert rows == [(cents / 100, cents / 100)]


BLANKS = "".join(one for one in map(chr, range(sys.maxunicode)) if category(one) == "Zs")


@example("\xa0")
@example("\u3000NULL ")
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@settings(deadline=None)
def test_any_text_that_is_not_a_word_for_nothing_is_an_id_as_written(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    """Zeros, points, blanks and signs are kept; blanks alone, of any script, are no id."""
    expected = None if text.strip(BLANKS) in MISSING else text
    row = con.execute(f"SELECT {text_sql('x', 'VARCHAR')} FROM (SELECT $1 AS x)", [text]).fetchone()
    assert row == (expected,)


@pytest.mark.parametrize(
    ("expression", "kind", "text"),
    [
        ("'0123'", "VARCHAR", "0123"),
        ("'123.456'", "VARCHAR", "123.456"),
        ("' None '", "VARCHAR", None),
        ("'undefined'", "VARCHAR", None),
        ("'(not set)'", "VARCHAR", None),
        ("'Nantes'", "VARCHAR", "Nantes"),
        ("17850::DOUBLE", "DOUBLE", "17850"),
        ("1e15::DOUBLE", "DOUBLE", "1000000000000000"),
        ("1.5::DOUBLE", "DOUBLE", "1.5"),
        ("'nan'::DOUBLE", "DOUBLE", None),
        ("12345678901234567890::HUGEINT", "HUGEINT", "12345678901234567890"),
        ("DATE '2020-03-01'", "DATE", "2020-03-01"),
        ("NULL", "VARCHAR", None),
    ],
)
def test_a_value_of_any_type_is_the_text_its_owner_means(
    con: duckdb.DuckDBPyConnection, expression: str, kind: str, text: str | None
) -> None:
    """A whole number that pandas made a float is the number; words for nothing are nothing."""
    assert con.execute(f"SELECT {text_sql(expression, kind)}").fetchall() == [(text,)]
