"""The critic's rules: what small models do when they do not know, and what none may pass on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.knowledge.critique import critique
from reaseq.knowledge.item_knowledge import MAX_ANSWER_LENGTH, QUESTIONS, Answers
from tests.unit.reaseq.knowledge.answers import GOOD

TITLE = "RED RETROSPOT MUG"


def reason(title: str = TITLE, examples: tuple[Answers, ...] = (), **changes: str) -> str | None:
    """The verdict on good answers but for some."""
    return critique(Answers(**{**GOOD, **changes}), title, examples)


def test_nothing_speaks_against_good_answers() -> None:
    """None is the verdict of an item that may be shown."""
    assert reason() is None


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("phrase", "fault"),
    [
        ("123 45", "no words"),
        ("<b>for tea</b>", "mark-up"),
        ("for tea \u202e now", "control characters"),
        ("see https://shop.example", "an address"),
        ("www.shop.example", "an address"),
        ("ann@shop.example", "an address"),
        ("at shop.com", "an address"),
        ("x" * MAX_ANSWER_LENGTH, "cut off"),
        ("warm warm drinks", "again and again"),
        ("tea and more tea and still tea", "again and again"),
        ("cups for tea or cups for tea", "again and again"),
    ],
)
def test_a_phrase_with_a_fault_is_named_with_its_question(
    question: str, phrase: str, fault: str
) -> None:
    """Wherever it stands."""
    found = reason(**{question: phrase})
    assert found is not None
    assert found.startswith(f"{question}: ")
    assert fault in found


@pytest.mark.parametrize(
    "phrase", ["a dot. then more", "10 of 12 cups", "at 5 o'clock", "no 1 gift"]
)
def test_what_only_looks_like_a_fault_passes(phrase: str) -> None:
    """Numbers, full stops and apostrophes are not addresses or loops."""
    assert reason(why=phrase) is None


@pytest.mark.parametrize(
    "said", ["red retrospot mug", "Mug, red retrospot", "the RED retrospot mug"]
)
def test_what_must_say_more_than_the_title(said: str) -> None:
    """In any case and order, with or without articles."""
    assert reason(what=said) == "what: only repeats the title"
    assert reason(what=f"{said} for hot drinks") is None


def test_a_part_of_the_title_is_no_answer_to_the_other_questions() -> None:
    """ "What" may be a part of the title: "a mug" says what a red retrospot mug is."""
    assert reason(what="a mug") is None
    assert reason(who="the mug") == "who: only repeats the title"


def test_two_questions_have_two_answers() -> None:
    """The same words with other articles are the same."""
    assert reason(when="the office", where="at an office") == "where: the same as when"


def test_an_example_is_not_repeated() -> None:
    """One or two phrases may fit both; three, or what the item is, are an echo."""
    example = Answers(**GOOD)
    other = {
        "what": "a plate of china",
        "who": "people who eat cake",
        "when": "in the afternoon",
        "where": "in the garden",
        "why": "to serve with style",
        "with_what": "a fork",
    }
    kept = dict(list(other.items())[:4])
    assert reason(examples=(example,), **kept) is None
    kept.pop("where")
    assert "repeats an example" in (reason(examples=(example,), **kept) or "")
    assert "repeats an example" in (
        reason(examples=(example,), **{**other, "what": GOOD["what"]}) or ""
    )


@given(st.text(min_size=0, max_size=60))
def test_a_title_of_any_signs_is_judged(title: str) -> None:
    """No title breaks the critic, and one without words rejects nothing."""
    verdict = reason(title=title)
    assert verdict is None or "only repeats the title" in verdict
    if not any(character.isalnum() for character in title):
        assert verdict is None
