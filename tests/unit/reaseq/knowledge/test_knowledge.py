"""`reaseq.knowledge`: agent, critic and cache, with a model that says what it is told."""

from __future__ import annotations

import asyncio
import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.events import Item
from reaseq.knowledge.item_knowledge import (
    QUESTIONS,
    answers_schema,
    knowledge_of,
    knowledge_table,
    texts_of,
)
from reaseq.knowledge.knowledge_base import KnowledgeBase, MemoryKnowledgeStore
from reaseq.knowledge.product_agent import MAX_TITLE_LENGTH, ProductAgent, prompt_for
from reaseq.knowledge.text_generator import (
    Answer,
    Prompt,
    ScriptedTextGenerator,
    TextGenerationError,
)
from reaseq.schemas import KNOWLEDGE_SCHEMA

GOOD = {
    "what": "a stoneware cup for hot drinks",
    "who": "people who drink tea",
    "when": "at breakfast",
    "where": "at home or in the office",
    "why": "to keep a drink warm",
    "with_what": "a saucer and a spoon",
}
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


def test_the_schema_is_the_answers_own() -> None:
    """Six required phrases and nothing else."""
    schema = answers_schema()
    assert schema["required"] == list(QUESTIONS)
    assert schema["additionalProperties"] is False


def test_the_same_key_is_asked_once() -> None:
    """Accepted or rejected: no second call; a new title is another key."""
    generator = ScriptedTextGenerator([json.dumps(GOOD), "moo", json.dumps(GOOD)])
    store = MemoryKnowledgeStore()
    base = KnowledgeBase(store, ProductAgent(generator))
    cup = Item(item_id="cup", title="BLUE CUP", event_time_ms=1)
    first = asyncio.run(base.learn([MUG]))
    second = asyncio.run(base.learn([cup]))
    again = asyncio.run(base.learn([MUG, cup]))
    assert (first.num_accepted, second.num_rejected, again.num_known) == (1, 1, 2)
    assert len(generator.prompts) == 2
    renamed = msgspec.structs.replace(MUG, title="RED MUG WITH SPOTS")
    assert asyncio.run(base.learn([renamed])).num_accepted == 1
    assert len(generator.prompts) == 3


def test_a_failure_is_not_stored_and_loses_no_other() -> None:
    """The item that failed is named, to be tried again."""

    def answer(prompt: Prompt) -> Answer:
        return TextGenerationError("down") if "Cup" in prompt.user else json.dumps(GOOD)

    store = MemoryKnowledgeStore()
    base = KnowledgeBase(store, ProductAgent(ScriptedTextGenerator(answer)))
    cup = Item(item_id="cup", title="Cup", event_time_ms=1)
    learned = asyncio.run(base.learn([cup, MUG]))
    assert (learned.failed, learned.failure) == (("cup",), "down")
    assert [one.item_id for one in store.written] == ["mug"]


def test_items_are_worked_at_once_but_not_too_many() -> None:
    """A model batches; it is not flooded."""
    generator = ScriptedTextGenerator(lambda prompt: json.dumps(GOOD), delay_s=0.01)
    base = KnowledgeBase(MemoryKnowledgeStore(), ProductAgent(generator), max_concurrent=3)
    items = [Item(item_id=str(n), title=f"Thing {n}", event_time_ms=1) for n in range(10)]
    assert asyncio.run(base.learn(items)).num_accepted == 10
    assert generator.max_running == 3


def test_only_accepted_knowledge_becomes_text() -> None:
    """What was rejected stays out of every representation."""
    good = asyncio.run(agent(json.dumps(GOOD)).run(MUG))
    bad = msgspec.structs.replace(good, item_id="cup", verdict="rejected", reason="no")
    table = knowledge_table([good, bad])
    assert knowledge_of(table) == [good, bad]
    assert list(texts_of(table)) == ["mug"]
    assert GOOD["what"] in texts_of(table)["mug"]
