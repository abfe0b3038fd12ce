"""Flags are understood as their user means them, or refused with the right spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.datasets.errors import FileError
from reaseq.datasets.mapping import ITEM_FIELDS, parse_columns, parse_mapping, parse_types

NAMES = st.text("abcxyz ()'_", max_size=8).map(lambda text: text.replace("'", "").strip("() "))


@pytest.mark.parametrize(
    ("texts", "mapping"),
    [
        ("", {}),
        (" user_id = a , item_id=b, ", {"user_id": "a", "item_id": "b"}),
        (["user_id=a", "item_id=b,user_id=c"], {"user_id": "c", "item_id": "b"}),
        ("user_id=coalesce(a, b),item_id=c", {"user_id": "coalesce(a, b)", "item_id": "c"}),
        ("user_id=f(g(a,b),c[1,2])", {"user_id": "f(g(a,b),c[1,2])"}),
        ("value=concat(a, '),('),item_id=b", {"value": "concat(a, '),(')", "item_id": "b"}),
        ('item_id="sku, long",user_id=a', {"item_id": '"sku, long"', "user_id": "a"}),
        ("event_type=CASE WHEN a=1 THEN 'x' END", {"event_type": "CASE WHEN a=1 THEN 'x' END"}),
    ],
)
def test_a_comma_inside_an_expression_belongs_to_it(
    texts: str | list[str], mapping: dict[str, str]
) -> None:
    """Brackets and quotes keep an expression together; a flag given again adds or replaces."""
    assert parse_mapping(texts) == mapping


@given(st.lists(NAMES.filter(bool), min_size=1, max_size=4))
def test_any_arguments_of_a_function_stay_together(arguments: list[str]) -> None:
    """Joined by commas inside a call, they are one expression."""
    call = f"f({','.join(repr(argument) for argument in arguments)})"
    assert parse_mapping(f"user_id={call},item_id=i") == {"user_id": call, "item_id": "i"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user", "'user' is not field=column"),
        ("user_id=", "'user_id=' is not field=column"),
        ("client=customer", "unknown field 'client': choose among user_id, item_id, event_time"),
        ("user_id=f(a", r"--map: \) is missing in 'user_id=f\(a'"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    """A slip in `--map` never maps something else."""
    with pytest.raises(FileError, match=message):
        parse_mapping(text)


def test_items_have_fields_of_their_own() -> None:
    """An item has no user; the message names the flag that was wrong."""
    assert parse_mapping("title=name", ITEM_FIELDS) == {"title": "name"}
    with pytest.raises(FileError, match="--map-items: unknown field 'user_id'"):
        parse_mapping("user_id=a", ITEM_FIELDS, "--map-items")


def test_types_are_translated_or_left_out() -> None:
    """Names in any case and with blanks; nothing or a dash after the sign means no event."""
    assert parse_types(["Product Viewed=view,search=", "wish=-", "a=b=cart"]) == {
        "product viewed": "view",
        "search": None,
        "wish": None,
        "a=b": "cart",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("buy=bought", "'bought' is none of view, click, cart, purchase, return; 'buy=' leaves"),
        ("buy", "'buy' is not SOURCE=TYPE"),
    ],
)
def test_a_type_that_is_not_ours_is_refused(text: str, message: str) -> None:
    """The choices are listed, leaving out among them."""
    with pytest.raises(FileError, match=message):
        parse_types(text)


def test_columns_need_names_of_their_own() -> None:
    """No name, or the same twice, would make a mapping ambiguous."""
    assert parse_columns(" a, b") == ("a", "b")
    assert parse_columns("") == ()
    for text in ("a,,b", "a,A"):
        with pytest.raises(FileError, match="needs a name of its own"):
            parse_columns(text)
