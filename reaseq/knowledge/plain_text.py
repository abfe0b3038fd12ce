"""Text from strangers as plain text.

Titles come from shops and answers from language models. Neither may carry what steers a program or
a model: control characters, invisible or reversing ones, mark-up, a chat template's own signs.
"""

from __future__ import annotations

import re
import unicodedata

STEERING = frozenset("<>[]{}|\\`")
"""Signs of mark-up and of chat templates: `<|im_end|>`, `[INST]`, `{{ … }}`."""

_WORD = re.compile(r"[^\W_]+")


def plain_text(text: str, max_length: int) -> str:
    """The text in one line of at most `max_length` characters that mean what they look like."""
    # Normalised first: "＜" is a "<" in disguise.
    normal = unicodedata.normalize("NFKC", text)
    kept = "".join(character if is_plain(character) else " " for character in normal)
    return " ".join(kept.split())[:max_length].strip()


def is_plain(character: str) -> bool:
    """Whether a character is none that steers: a letter, mark, digit, symbol or simple space."""
    return character not in STEERING and unicodedata.category(character)[0] != "C"


def words(text: str) -> list[str]:
    """The words of a text in order, in small letters."""
    return _WORD.findall(text.casefold())
