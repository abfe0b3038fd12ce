"""Six answers with their provenance, as rows and as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.knowledge.item_knowledge import (
    MAX_ANSWER_LENGTH,
    QUESTIONS,
    ItemKnowledge,
    answers_schema,
    content_hash,
    knowledge_of,
    knowledge_table,
    texts_of,
)
from tests.unit.reaseq.knowledge.answers import GOOD


def knowledge(**changes: Any) -> ItemKnowledge:
    """Accepted knowledge about a mug."""
    provenance = {
        "item_id": "mug",
        "content_hash": "c",
        "prompt_version": "p",
        "model": "m",
        "num_prompt_tokens": 5,
        "num_tokens": 7,
        "duration_s": 0.5,
        "verdict": "accepted",
        "event_time_ms": 1,
    }
    return ItemKnowledge(**{**provenance, **GOOD, **changes})


short = st.text(max_size=20)
any_knowledge = st.builds(
    knowledge,
    item_id=short,
    what=short,
    who=short,
    verdict=st.sampled_from(["accepted", "rejected"]),
    reason=st.none() | short,
    duration_s=st.floats(0, 100),
    event_time_ms=st.integers(0, 2**60),
)


@given(st.lists(any_knowledge, max_size=4))
def test_rows_come_back_as_they_went_in(made: list[ItemKnowledge]) -> None:
    """Of any text, in order, the empty list too."""
    assert knowledge_of(knowledge_table(made)) == made


@given(st.lists(any_knowledge, max_size=6))
def test_only_accepted_knowledge_becomes_text(made: list[ItemKnowledge]) -> None:
    """What was rejected stays out of every representation."""
    accepted = {one.item_id for one in made if one.is_accepted}
    assert set(texts_of(knowledge_table(made))) == accepted


def test_the_text_holds_every_answer() -> None:
    """Nothing of what is known is kept from the encoder."""
    assert all(GOOD[question] in knowledge().text() for question in QUESTIONS)


def test_rejected_knowledge_has_no_text() -> None:
    """The error names the item and why it was rejected."""
    with pytest.raises(ValueError, match="mug was rejected: an address"):
        knowledge(verdict="rejected", reason="an address").text()


def test_without_answers_there_was_no_json() -> None:
    """Rejected by the critic is one thing, no JSON another."""
    assert knowledge(verdict="rejected", reason="echo").has_answers
    assert not knowledge(**dict.fromkeys(QUESTIONS, ""), verdict="rejected").has_answers


@given(st.text(), st.none() | st.text(), st.text(), st.none() | st.text())
def test_other_words_have_another_hash(
    title: str, description: str | None, other_title: str, other_description: str | None
) -> None:
    """No pair of title and description runs into another, whatever signs they hold."""
    same = (title, description) == (other_title, other_description)
    hashes = content_hash(title, description), content_hash(other_title, other_description)
    assert (hashes[0] == hashes[1]) is same


def test_no_description_is_not_an_empty_one() -> None:
    """A shop that says nothing and one that says "" are told apart."""
    assert content_hash("mug", None) != content_hash("mug", "")


def test_the_schema_is_the_answers_own() -> None:
    """Six required phrases in the order of the questions, and nothing else."""
    schema = answers_schema()
    assert schema["required"] == list(QUESTIONS)
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(QUESTIONS)  # type: ignore[call-overload]


@pytest.mark.parametrize("question", QUESTIONS)
def test_good_phrases_fit_the_pattern_a_model_is_held_to(question: str) -> None:
    """Mark-up, lines and endless text do not; what fits is short enough for `Answers`."""
    pattern = re.compile(answers_schema()["properties"][question]["pattern"])  # type: ignore[index]
    assert pattern.fullmatch(GOOD[question])
    for bad in ("", "ab", " leading", "two\nlines", "<b>bold</b>", "x" * (MAX_ANSWER_LENGTH + 1)):
        assert not pattern.fullmatch(bad), bad


def test_only_with_what_may_list_things() -> None:
    """A small model does not end where a comma can follow."""
    patterns = answers_schema()["properties"]
    several = "a saucer, a spoon, a tray"
    fits = [q for q in QUESTIONS if re.fullmatch(patterns[q]["pattern"], several)]  # type: ignore[index]
    assert fits == ["with_what"]
    four = "one thing, two things, three things, four things"
    assert not re.fullmatch(patterns["with_what"]["pattern"], four)  # type: ignore[index]
