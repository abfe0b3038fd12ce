"""The critic: rules that reject answers no item should carry.

Deterministic and free of charge: it looks for what small models do when they do not know (echo,
repeat, run on) and for what no model may pass on (mark-up, addresses, control characters). It
cannot tell whether an answer is true.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec

from reaseq.knowledge.item_knowledge import MAX_ANSWER_LENGTH, QUESTIONS, Answers
from reaseq.knowledge.plain_text import is_plain, words

CRITIC_VERSION = 1
"""Part of the prompt version: raise it when a rule changes a verdict."""

MIN_LETTERS = 3

MAX_REPEATS = 2
"""A word of content more often than this in one phrase is a loop."""

MAX_ECHOED_ANSWERS = 2
"""One or two phrases may fit an example and this item alike ("in the kitchen")."""

_ADDRESS = re.compile(r"https?:|www\.|\w@\w|\b\w+\.(com|net|org|io|co)\b", re.IGNORECASE)
_FILLERS = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "as",
        "is",
        "it",
        "its",
    ]
)


def critique(answers: Answers, title: str, examples: Sequence[Answers] = ()) -> str | None:
    """Why the answers are rejected; None when nothing speaks against them.

    `title` is the item's, `examples` the answers that the prompt showed.
    """
    phrases = msgspec.structs.asdict(answers)
    for question in QUESTIONS:
        for fault, is_met in _FAULTS.items():
            if is_met(phrases[question]):
                return f"{question}: {fault}"
    return next(_faults_together(phrases, title, examples), None)


def _faults_together(
    phrases: dict[str, str], title: str, examples: Sequence[Answers]
) -> Iterator[str]:
    said = {question: _content(phrase) for question, phrase in phrases.items()}
    of_title = _content(title)
    for question, content in said.items():
        if question == "what":
            # "Lunch bag" for a title with colours and patterns says something; all of it does not.
            if of_title and set(of_title) <= set(content) and len(content) <= len(of_title):
                yield "what: only repeats the title"
        elif of_title and set(content) <= set(of_title):
            yield f"{question}: only repeats the title"
    first: dict[tuple[str, ...], str] = {}
    for question, content in said.items():
        if tuple(content) in first:
            yield f"{question}: the same as {first[tuple(content)]}"
        first[tuple(content)] = question
    for example in examples:
        shown = msgspec.structs.asdict(example)
        echoed = [q for q in QUESTIONS if said[q] == _content(shown[q])]
        if "what" in echoed or len(echoed) > MAX_ECHOED_ANSWERS:
            yield f"{', '.join(echoed)}: repeats an example of the prompt"


def _content(phrase: str) -> list[str]:
    """The words that carry content, in order; all words where none does."""
    every = words(phrase)
    return [word for word in every if word not in _FILLERS] or every


def _is_short(phrase: str) -> bool:
    return sum(character.isalpha() for character in phrase) < MIN_LETTERS


def _has_signs(phrase: str) -> bool:
    return not all(map(is_plain, phrase))


def _is_cut(phrase: str) -> bool:
    return len(phrase) >= MAX_ANSWER_LENGTH


def _is_loop(phrase: str) -> bool:
    every = words(phrase)
    content = Counter(word for word in every if word not in _FILLERS)
    triples = Counter(zip(every, every[1:], every[2:], strict=False))
    return (
        any(first == second for first, second in pairwise(every))
        or any(times > MAX_REPEATS for times in content.values())
        or any(times > 1 for times in triples.values())
    )


_FAULTS: dict[str, Callable[[str], bool]] = {
    "no words": _is_short,
    "control characters or mark-up": _has_signs,
    "an address": lambda phrase: _ADDRESS.search(phrase) is not None,
    "cut off": _is_cut,
    "says the same again and again": _is_loop,
}
