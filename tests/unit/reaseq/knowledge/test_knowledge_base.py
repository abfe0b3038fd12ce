"""Each content is asked once, failures are tried again, and no item loses another's answer."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.events import Item
from reaseq.knowledge.knowledge_base import KnowledgeBase, KnowledgeStats, MemoryKnowledgeStore
from reaseq.knowledge.product_agent import ProductAgent
from reaseq.knowledge.recorded import RecordedAgent
from reaseq.knowledge.text_generator import (
    Answer,
    Prompt,
    ScriptedTextGenerator,
    TextGenerationError,
)
from tests.unit.reaseq.knowledge.answers import GOOD

MUG = Item(item_id="mug", title="RED RETROSPOT MUG", event_time_ms=1)
CUP = Item(item_id="cup", title="BLUE CUP", event_time_ms=1)


def things(num: int) -> list[Item]:
    """Items with titles of their own."""
    return [Item(item_id=str(n), title=f"Thing {n}", event_time_ms=1) for n in range(num)]


def always_good(prompt: Prompt) -> Answer:
    """What the script says of anything."""
    return json.dumps(GOOD)


def test_the_same_key_is_asked_once() -> None:
    """Accepted or rejected: no second call; a new title is another key."""
    generator = ScriptedTextGenerator([json.dumps(GOOD), "moo", json.dumps(GOOD)])
    base = KnowledgeBase(MemoryKnowledgeStore(), ProductAgent(generator))
    first = asyncio.run(base.learn([MUG]))
    second = asyncio.run(base.learn([CUP]))
    again = asyncio.run(base.learn([MUG, CUP]))
    assert (first.num_accepted, second.num_rejected, again.num_known) == (1, 1, 2)
    assert len(generator.prompts) == 2
    renamed = msgspec.structs.replace(MUG, title="RED MUG WITH SPOTS")
    assert asyncio.run(base.learn([renamed])).num_accepted == 1
    assert len(generator.prompts) == 3


def test_another_model_is_asked_again() -> None:
    """Knowledge is known per model, so a better one replaces what a smaller one said."""
    store = MemoryKnowledgeStore()
    for model in ("small", "large"):
        agent = ProductAgent(ScriptedTextGenerator(always_good, model=model))
        assert asyncio.run(KnowledgeBase(store, agent).learn([MUG])).num_accepted == 1
    assert [one.model for one in store.written] == ["small", "large"]


def test_a_failure_is_not_stored_and_loses_no_other() -> None:
    """The item that failed is named, to be tried again."""

    def answer(prompt: Prompt) -> Answer:
        return TextGenerationError("down") if "Blue cup" in prompt.user else json.dumps(GOOD)

    store = MemoryKnowledgeStore()
    base = KnowledgeBase(store, ProductAgent(ScriptedTextGenerator(answer)))
    learned = asyncio.run(base.learn([CUP, MUG]))
    assert (learned.failed, learned.failure) == (("cup",), "down")
    assert [one.item_id for one in store.written] == ["mug"]
    recovered = KnowledgeBase(store, ProductAgent(ScriptedTextGenerator(always_good)))
    again = asyncio.run(recovered.learn([CUP, MUG]))
    assert (again.num_known, again.num_accepted, again.failed) == (1, 1, ())


def test_items_are_worked_at_once_but_not_too_many() -> None:
    """A model batches; it is not flooded."""
    generator = ScriptedTextGenerator(always_good, delay_s=0.01)
    base = KnowledgeBase(MemoryKnowledgeStore(), ProductAgent(generator), max_concurrent=3)
    assert asyncio.run(base.learn(things(10))).num_accepted == 10
    assert generator.max_running == 3


def test_of_an_item_given_twice_the_last_description_counts() -> None:
    """A correction that comes in the same batch is not answered for the old title."""
    generator = ScriptedTextGenerator(always_good)
    base = KnowledgeBase(MemoryKnowledgeStore(), ProductAgent(generator))
    corrected = msgspec.structs.replace(MUG, title="GREEN MUG")
    assert asyncio.run(base.learn([MUG, corrected])).num_items == 1
    assert ["Green mug" in prompt.user for prompt in generator.prompts] == [True]


class FullStore(MemoryKnowledgeStore):
    """A store whose disk is full for one item."""

    def write(self, rows: pa.Table) -> None:
        if rows["item_id"].to_pylist() == ["3"]:
            raise OSError("no space left")
        super().write(rows)


def test_an_error_of_the_store_is_raised_when_the_others_are_done() -> None:
    """What other workers have in hand is stored; the error is not swallowed."""
    store = FullStore()
    agent = ProductAgent(ScriptedTextGenerator(always_good))
    with pytest.raises(OSError, match="no space left"):
        asyncio.run(KnowledgeBase(store, agent, max_concurrent=2).learn(things(8)))
    assert {one.item_id for one in store.written} == {"0", "1", "2", "4", "5", "6", "7"}


@given(st.lists(st.sampled_from(["good", "bad", "down"]), max_size=8))
@settings(max_examples=25)
def test_every_item_is_counted_once_and_progress_only_grows(script: list[str]) -> None:
    """Accepted, rejected or failed: the counts add up, at the end and on the way."""
    says: dict[str, Answer] = {
        "good": json.dumps(GOOD),
        "bad": "moo",
        "down": TextGenerationError("down"),
    }
    seen: list[KnowledgeStats] = []
    generator = ScriptedTextGenerator([says[word] for word in script])
    base = KnowledgeBase(MemoryKnowledgeStore(), ProductAgent(generator), max_concurrent=2)
    learned = asyncio.run(base.learn(things(len(script)), seen.append))
    counts = (learned.num_accepted, learned.num_rejected, len(learned.failed))
    assert counts == tuple(script.count(word) for word in ("good", "bad", "down"))
    assert learned.num_asked == learned.num_done == learned.num_items == len(script)
    assert [stats.num_done for stats in seen] == list(range(1, len(script) + 1))
    assert learned.num_valid_json == script.count("good")


def test_an_agent_without_an_answer_is_not_asked() -> None:
    """The record knows the bundled shop's best sellers and says nothing of anything else."""
    stranger = Item(item_id="x", title="a thing nobody recorded", event_time_ms=1)
    learned = asyncio.run(KnowledgeBase(MemoryKnowledgeStore(), RecordedAgent()).learn([stranger]))
    assert (learned.num_unanswerable, learned.num_asked, learned.num_done) == (1, 0, 1)


def test_the_sum_of_two_runs_keeps_the_later_failure() -> None:
    """A run without one does not hide an earlier one's."""
    first = KnowledgeStats(num_items=2, num_tokens=5, failed=("a",), failure="slow")
    second = KnowledgeStats(num_items=1, num_tokens=3, failed=("b",), failure="down")
    both = first.plus(second)
    assert (both.num_items, both.num_tokens, both.failed) == (3, 8, ("a", "b"))
    assert both.failure == "down"
    assert first.plus(KnowledgeStats()) == first
