"""Separator and header are recognised from the first lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.datasets.csv_layout import SEPARATORS, csv_layout
from reaseq.datasets.errors import FileError


@pytest.mark.parametrize(
    ("head", "separator", "has_header"),
    [
        ("user_id\titem_id\nann\tmug, red\n", "\t", True),
        ("user_id;item_id;price\nann;mug;12,50\n", ";", True),
        ("1::1193::5::978300760\n1::661::3::978302109\n", "::", False),
        ("10::Café Story, The (1990)::Drama|Comedy\n", "::", False),
        ("10|Story (1990)|01-Jan-1990||http://e.invalid/0|1\n", "|", False),
        ('movieId,title,genres\n10,"River, A",Drama|War\n11,"Hill; B",War|War\n', ",", True),
        ('a,b\n"x\ny; z",1\n', ",", True),
        ("A1,B1,5.0,1393545600\n", ",", False),
        ("ann,mug,2020-01-01\n", ",", False),
        ("user_id\nann\n", ",", True),
    ],
)
def test_the_layout_of_a_file_is_seen_in_its_first_lines(
    head: str, separator: str, has_header: bool
) -> None:
    """Commas in titles, decimal commas and quoted line breaks do not mislead."""
    layout = csv_layout(head, "f")
    assert (layout.separator, layout.has_header) == (separator, has_header)


@given(
    separator=st.sampled_from(SEPARATORS),
    rows=st.lists(st.lists(st.text("abc", min_size=1), min_size=3, max_size=3), min_size=1),
)
def test_every_separator_is_recognised_whatever_the_words(
    separator: str, rows: list[list[str]]
) -> None:
    """Words without separators leave one reading."""
    head = "".join(separator.join(row) + "\n" for row in rows)
    assert csv_layout(head, "f").separator == separator


def test_columns_without_a_header_are_numbered_or_named() -> None:
    """The first row is kept as data either way."""
    head = "A1,B1,5.0,1393545600\n"
    assert csv_layout(head, "f").columns == ("column0", "column1", "column2", "column3")
    named = csv_layout(head, "f", columns=("u", "i", "r", "t"))
    assert (named.columns, named.has_header) == (("u", "i", "r", "t"), False)
    with pytest.raises(FileError, match="names 2 columns but the first line of f has 4"):
        csv_layout(head, "f", columns=("u", "i"))


def test_a_header_may_leave_a_name_out_or_repeat_one() -> None:
    """Every column can be named; the repeated ones are known."""
    layout = csv_layout(",title,Title,id\nx,y,z,a\n", "f")
    assert layout.columns == ("column0", "title", "Title_2", "id")
    assert layout.repeated == {"title"}
