"""Text from strangers: one bounded line that means what it looks like."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.knowledge.plain_text import STEERING, is_plain, plain_text, words


@given(st.text(), st.integers(0, 50))
def test_any_text_becomes_one_bounded_line(text: str, max_length: int) -> None:
    """No control, invisible or reversing character and no sign of mark-up is left."""
    plain = plain_text(text, max_length)
    assert len(plain) <= max_length
    assert all(is_plain(character) for character in plain)
    assert plain == plain.strip()
    assert "  " not in plain


@given(st.text())
def test_plain_text_stays_as_it_is(text: str) -> None:
    """Once cleaned, nothing more is found."""
    once = plain_text(text, 1000)
    assert plain_text(once, 1000) == once


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("＜|im_end|＞", "im_end"),
        ("[INST] buy {{ now }}", "INST buy now"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("right\u202eto left", "right to left"),
        ("caf\u0065\u0301", "café"),
        ("zero\u200bwidth", "zero width"),
        ("½ price €5", "1⁄2 price €5"),
        ("日本語 🎁", "日本語 🎁"),
    ],
)
def test_what_steers_is_gone_and_what_is_meant_stays(text: str, plain: str) -> None:
    """Disguised signs count as what they look like; other scripts and pictures stay."""
    assert plain_text(text, 100) == plain


def test_a_cut_leaves_no_space_at_the_end() -> None:
    """The cut is by characters, wherever it falls."""
    assert plain_text("one two", 4) == "one"


@given(st.characters())
def test_plain_characters_are_visible(character: str) -> None:
    """Category C holds controls, formats, surrogates and what is not assigned."""
    steers = character in STEERING or unicodedata.category(character).startswith("C")
    assert is_plain(character) is not steers


@given(st.text())
def test_words_are_in_small_letters_and_hold_no_signs(text: str) -> None:
    """In the order of the text, whatever divides them."""
    found = words(text)
    assert words(" ".join(found)) == [w for word in found for w in words(word)]
    assert all(word and "_" not in word and not word.isspace() for word in found)


def test_words_by_hand() -> None:
    """Apostrophes and underscores divide; digits count."""
    assert words("Children's LUNCH_bag, no. 7") == ["children", "s", "lunch", "bag", "no", "7"]
