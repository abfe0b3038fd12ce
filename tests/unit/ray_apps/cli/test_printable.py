"""Nothing that a producer wrote commands the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_apps.cli.printable import printable, readable


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (None, "–"),
        (b"", ""),
        ("größe 茶 🙂".encode(), "größe 茶 🙂"),
        (b"\x1b[31mred\x1b[0m\x07", "\\x1b[31mred\\x1b[0m\\x07"),
        ("\u202eevil\u2066".encode(), "\\u202eevil\\u2066"),
        ("\x9b31m".encode(), "\\x9b31m"),
        (b"a\r\nb\tc", "a\\r\\nb\\tc"),
        (b"\xff\x00\x1b", "b'\\xff\\x00\\x1b'"),
    ],
)
def test_bytes_are_shown_as_what_they_are(content: bytes | None, shown: str) -> None:
    """Text as text, escapes and marks of direction visible, binary as Python writes it."""
    assert readable(content) == shown


def test_lines_may_be_kept() -> None:
    """For a value that was written over several; a carriage return still does not go back."""
    assert readable(b"{\n}\r\n", keep_lines=True) == "{\n}\\r\n"


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
def test_whatever_is_shown_is_visible(content: bytes) -> None:
    """Of any bytes."""
    assert readable(content).isprintable()
    assert printable("\n".join(["a", "b"]), keep_lines=True) == "a\nb"
