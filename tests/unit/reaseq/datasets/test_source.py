"""A column that is not there, or is not one value, is refused by what the file has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reaseq.datasets.errors import FileError
from reaseq.datasets.stored_log import StoredLog

OpenText = Callable[..., StoredLog]
ROW = "\na,b,2020-01-01,x\n"


@pytest.mark.parametrize(
    ("content", "mapping", "message"),
    [
        (
            "customer,item_id,event_time\na,b,c\n",
            "",
            r"no column 'user_id' for user_id; events.csv has customer, item_id, event_time \(if "
            r"that line is data: --columns\)\. Name it with --map user_id=COLUMN",
        ),
        ("user_id,item_id,event_time\na,b,c\n", "user_id=cust", "no column 'cust' for user_id"),
        ("user_id,item_id,event_time\na,b,c\n", "price=each one", "no column 'each one' for price"),
        (f"user_id,item_id,event_time,user_id{ROW}", "", "two columns 'user_id': rename the wrong"),
        ("a^b^c\n1^2^3\n", "", r"has one column, 'a\^b\^c', .*give the right one with --separator"),
        ("A1,B1,1393545600\n", "", r"has no header, so no column 'user_id' .*--columns"),
        ("A1,B1,1393545600\n", "user_id=A1", r"no column 'A1'.* use column0, column1, column2"),
        (f"user_id,item_id,event_time,v{ROW}", "value=v * 2", r"--map value=v \* 2: .*number\(col"),
        ('{"user_id": {"id": 1}, "item_id": 2, "event_time": 3}', "", "user_id is STRUCT"),
        ('{"user_id": [1], "item_id": 2, "event_time": 3}', "", "user_id is VARCHAR.*--sql"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name(
    open_text: OpenText, content: str, mapping: str, message: str
) -> None:
    """The message tells what the file has and which flag points at it."""
    with pytest.raises(FileError, match=message):
        open_text(content, mapping)


def test_a_repeated_column_that_nobody_needs_is_no_trouble(open_text: OpenText) -> None:
    """Only an ambiguous choice is refused."""
    log = open_text("user_id,item_id,event_time,note,note\na,b,2020-01-01,x,y\n")
    assert log.num_events == 1


@pytest.mark.parametrize("name", ["Lineitem sku", 'the "id"', "a.b", "select", "ÄRTIKEL"])
def test_a_column_may_have_any_name(open_text: OpenText, name: str) -> None:
    """Names are no SQL where they are the name of a column; case does not matter."""
    quoted = '"' + name.replace('"', '""') + '"'
    log = open_text(f"user_id,{quoted},event_time\nann,mug,2020-01-01\n", f"item_id={name}")
    assert log.read().events["item_id"].to_pylist() == ["mug"]
    assert log.preview().taken["item_id"] == name


def test_a_file_without_a_header_is_named_or_numbered(open_text: OpenText) -> None:
    """All rows are kept, the first too."""
    text = "A1,B1,5.0,1393545600\nA2,B1,3.0,1393545700\n"
    named = open_text(text, columns=("user_id", "item_id", "rating", "event_time"))
    numbered = open_text(text, "user_id=column0,item_id=column1,event_time=column3")
    assert named.read().events["user_id"].to_pylist() == ["A1", "A2"]
    assert numbered.read().events.equals(named.read().events)


def test_items_are_mapped_by_their_own_flag(open_text: OpenText) -> None:
    """The message names it."""
    text = "user_id,item_id,event_time\na,b,2020-01-01\n"
    with pytest.raises(FileError, match="Name it with --map-items item_id=COLUMN"):
        open_text(text, items="sku,title\nb,Mug\n")
