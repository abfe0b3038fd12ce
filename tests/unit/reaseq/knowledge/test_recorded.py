"""Knowledge that ships with the package."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reaseq.datasets.online_retail import read_online_retail
from reaseq.events import Item
from reaseq.knowledge.item_knowledge import content_hash
from reaseq.knowledge.recorded import RecordedAgent, read_recorded, recorded
from reaseq.knowledge.text_generator import TextGenerationError


@pytest.fixture(scope="module")
def catalogue() -> dict[str, dict[str, Any]]:
    """The bundled shop's items by the hash of their content."""
    items = read_online_retail().items.to_pylist()
    return {content_hash(item["title"], item["description"]): item for item in items}


def test_the_record_is_of_one_named_model() -> None:
    """Every line has its provenance, and its key is the content it is about."""
    found = read_recorded()
    assert found
    assert all(one.content_hash == key for key, one in found.items())
    assert all(one.model and one.prompt_version for one in found.values())


def test_it_knows_items_of_the_bundled_shop(catalogue: dict[str, dict[str, Any]]) -> None:
    """Title and description of the catalogue as it is read today are those recorded."""
    assert set(read_recorded()) <= set(catalogue)


def test_an_answer_is_given_under_the_id_that_was_asked(
    catalogue: dict[str, dict[str, Any]],
) -> None:
    """Two shops may sell the same thing under other numbers."""
    known = next(iter(read_recorded().values()))
    shown = catalogue[known.content_hash]
    item = Item(
        item_id="elsewhere-7",
        title=shown["title"],
        description=shown["description"],
        event_time_ms=1,
    )
    agent = RecordedAgent()
    assert agent.key(item) == known.key
    answered = asyncio.run(agent.run(item))
    assert answered.item_id == "elsewhere-7"
    assert (answered.what, answered.verdict) == (known.what, known.verdict)


def test_of_anything_else_it_has_no_answer() -> None:
    """No key, and asked all the same it says so."""
    stranger = Item(item_id="x", title="a thing nobody recorded", event_time_ms=1)
    assert recorded(content_hash(stranger.title, None)) is None
    assert RecordedAgent().key(stranger) is None
    with pytest.raises(TextGenerationError, match="nothing was recorded about x"):
        asyncio.run(RecordedAgent().run(stranger))
