"""Texts that anybody may have written, made safe to print: a terminal obeys what it is sent."""

from __future__ import annotations


def printable(text: str, keep_lines: bool = False) -> str:
    """The text with everything that is no visible character or space as an escape sequence."""
    return "".join(
        one if one.isprintable() or (keep_lines and one == "\n") else _escaped(one) for one in text
    )


def readable(content: bytes | None, keep_lines: bool = False) -> str:
    """UTF-8 as text, anything else as Python writes bytes."""
    if content is None:
        return "–"
    try:
        return printable(content.decode(), keep_lines)
    except UnicodeDecodeError:
        return repr(content)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
