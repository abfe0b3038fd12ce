"""One item in, six answers or a reason out, with a model that says what it is told."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.events import Item
from reaseq.knowledge.item_knowledge import QUESTIONS, knowledge_table
from reaseq.knowledge.product_agent import (
    EXAMPLES,
    MAX_DESCRIPTION_LENGTH,
    MAX_TITLE_LENGTH,
    PROMPT_VERSION,
    ProductAgent,
    prompt_for,
)
from reaseq.knowledge.text_generator import Answer, ScriptedTextGenerator, TextGenerationError
from reaseq.schemas import KNOWLEDGE_SCHEMA
from tests.unit.reaseq.knowledge.answers import GOOD

MUG = Item(item_id="mug", title="RED RETROSPOT MUG", event_time_ms=1)


def agent(*answers: Answer) -> ProductAgent:
    return ProductAgent(ScriptedTextGenerator(answers), clock_ms=lambda: 7)


def test_a_good_answer_is_accepted_with_its_provenance() -> None:
    """What was asked, by what model and prompt, and what it cost."""
    found = asyncio.run(agent(json.dumps(GOOD)).run(MUG))
    assert (found.verdict, found.reason) == ("accepted", None)
    assert (found.model, found.event_time_ms) == ("scripted", 7)
    assert found.key == agent().key(MUG)
    assert found.num_tokens > 0
    assert all(getattr(found, question) == GOOD[question] for question in QUESTIONS)


def test_what_is_no_such_json_is_rejected() -> None:
    """No JSON, a missing answer, one too many, one too long: kept as rejected, never raised."""
    missing = {k: v for k, v in GOOD.items() if k != "why"}
    for text in ("moo", json.dumps(missing), json.dumps({**GOOD, "colour": "red"})):
        found = asyncio.run(agent(text).run(MUG))
        assert found.verdict == "rejected"
        assert found.reason
        assert not found.has_answers
    endless = json.dumps({**GOOD, "why": "because " * 100})
    assert asyncio.run(agent(endless).run(MUG)).verdict == "rejected"


def test_the_critic_rejects_what_small_models_say() -> None:
    """Echo, loop, the same twice, an address, mark-up."""
    for wrong in (
        {"what": "red retrospot mug"},
        {"why": "warm warm warm warm"},
        {"who": GOOD["when"]},
        {"where": "see www.shop.com"},
        {"when": "<b>now</b>"},
    ):
        found = asyncio.run(agent(json.dumps({**GOOD, **wrong})).run(MUG))
        assert found.verdict == "rejected", wrong


@given(st.text(max_size=400))
@settings(max_examples=50)
def test_no_title_leaves_its_json_object(title: str) -> None:
    """Hostile or odd: one JSON object of bounded plain text, and an answer is still judged."""
    item = Item(item_id="x", title=title, event_time_ms=1)
    told = json.loads(prompt_for(item).user)
    assert list(told) == ["title"]
    assert len(told["title"]) <= 2 * MAX_TITLE_LENGTH
    assert not set(told["title"]) & set("<>[]{}|\\`\n\r\0")
    found = asyncio.run(agent(json.dumps(GOOD)).run(item))
    assert knowledge_table([found]).schema == KNOWLEDGE_SCHEMA


def test_a_model_that_is_down_says_nothing_about_the_item() -> None:
    """The error passes through: nothing is judged, so it is tried again."""
    with pytest.raises(TextGenerationError, match="no connection"):
        asyncio.run(agent(TextGenerationError("no connection")).run(MUG))


def test_the_key_changes_with_what_the_shop_says_and_with_the_model() -> None:
    """Title, description and model; not the id, the price or the time."""
    same = Item(item_id="other", title=MUG.title, price=3.0, event_time_ms=9)
    assert agent().key(same) == agent().key(MUG)
    described = Item(item_id="mug", title=MUG.title, description="stoneware", event_time_ms=1)
    other_model = ProductAgent(ScriptedTextGenerator([], model="another"))
    keys = {agent().key(MUG), agent().key(described), other_model.key(MUG)}
    assert len(keys) == 3
    assert {key.prompt_version for key in keys} == {PROMPT_VERSION}


def test_a_title_that_shouts_is_told_in_small_letters() -> None:
    """Models know words as people write them; a title in mixed case stays as it is."""
    assert json.loads(prompt_for(MUG).user) == {"title": "Red retrospot mug"}
    mixed = Item(item_id="x", title="iPhone case", event_time_ms=1)
    assert json.loads(prompt_for(mixed).user) == {"title": "iPhone case"}


def test_long_texts_are_cut_at_their_end() -> None:
    """The start of a description says what the item is."""
    item = Item(item_id="x", title="t" * 999, description="d" * 999, event_time_ms=1)
    told = json.loads(prompt_for(item).user)
    assert told["title"] == "t" * MAX_TITLE_LENGTH
    assert told["description"] == "d" * MAX_DESCRIPTION_LENGTH


def test_the_prompt_shows_the_form_by_turns() -> None:
    """System, then each example asked and answered, then the item."""
    roles = [turn["role"] for turn in prompt_for(MUG).messages()]
    assert roles == ["system", *["user", "assistant"] * len(EXAMPLES), "user"]
    for asked, answered in prompt_for(MUG).examples:
        assert set(json.loads(asked)) == {"title"}
        assert set(json.loads(answered)) == set(QUESTIONS)


def test_an_answer_that_repeats_the_example_is_rejected() -> None:
    """A garlic press is what the prompt showed, not what a mug is."""
    shown = {question: getattr(EXAMPLES[0][1], question) for question in QUESTIONS}
    found = asyncio.run(agent(json.dumps(shown)).run(MUG))
    assert found.verdict == "rejected"
    assert "repeats an example" in (found.reason or "")
