"""`ray_apps.serving.knowledge`: which items are worked, in what order, and what failing does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps.serving.knowledge import KnowledgeWorker
from reaseq.events import Item
from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.knowledge.product_agent import ProductAgent
from reaseq.knowledge.text_generator import (
    Answer,
    Prompt,
    ScriptedTextGenerator,
    TextGenerationError,
)
from reaseq.schemas import ITEM_SCHEMA
from streams.feature_store.guard import OnlineStoreError
from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower, resume
from tests.unit.ray_apps.serving.fakes import (
    ITEM_CODEC,
    ITEMS_TOPIC,
    BreakableFeatures,
    FakeHistory,
    bought,
    memory_log,
    send_items,
)
from tests.unit.reaseq.knowledge import answers

GOOD = json.dumps(answers.GOOD)


class Working:
    """A worker on fakes. Titles that hold a word of `failing` are not answered."""

    def __init__(self, folder: Path, max_concurrent: int = 8, num_best_sellers: int = 2) -> None:
        self.log = memory_log()
        self.features = BreakableFeatures()
        self.checkpoints = Checkpoints(folder)
        self.history = FakeHistory()
        self.failing: set[str] = set()
        self.model = ScriptedTextGenerator(self._answer)
        self.worker = KnowledgeWorker(
            self.features,
            self.follower(),
            self.history,
            ProductAgent(self.model),
            model="scripted",
            num_best_sellers=num_best_sellers,
            max_concurrent=max_concurrent,
        )

    def follower(self) -> Follower:
        partitions = self.log.partitions(ITEMS_TOPIC)
        reader = self.log.reader("knowledge")
        return Follower(reader, ITEM_CODEC, partitions, resume(self.checkpoints), self.checkpoints)

    def _answer(self, prompt: Prompt) -> Answer:
        if any(word in prompt.user for word in self.failing):
            return TextGenerationError("the model is away")
        return GOOD

    def in_catalogue(self, *item_ids: str) -> None:
        rows = [{"item_id": i, "title": f"the {i}", "event_time_ms": 1} for i in item_ids]
        self.features.write(ITEMS, pa.Table.from_pylist(rows, schema=ITEM_SCHEMA))

    def send(self, *item_ids: str, title: str = "the {}") -> None:
        items = (Item(item_id=i, title=title.format(i), event_time_ms=2) for i in item_ids)
        send_items(self.log, *items)

    def step(self) -> None:
        """One step, as `run_periodically` makes it."""
        try:
            asyncio.run(self.worker.step())
        except (TextGenerationError, OnlineStoreError) as error:
            self.worker.failed(error)

    def asked(self) -> list[str]:
        return [json.loads(prompt.user)["title"] for prompt in self.model.prompts]

    def known(self, *item_ids: str) -> list[str]:
        found: list[str] = self.features.read(KNOWLEDGE, item_ids)["item_id"].to_pylist()
        return found

    def saved(self) -> int | None:
        progress = self.checkpoints.progress(Partition(ITEMS_TOPIC, 0))
        return progress.next_offset if progress else None


@pytest.fixture
def working(tmp_path: Path) -> Working:
    return Working(tmp_path)


def test_best_sellers_come_first_and_once(working: Working) -> None:
    """The best first, as many as the settings say, of those in the catalogue."""
    sold = [("tea", 3), ("gone", 2), ("cup", 1), ("pot", 1)]
    working.history.events = [bought(f"u{n}", item, n) for item, num in sold for n in range(num)]
    working.in_catalogue("tea", "cup", "pot")
    working.step()
    assert working.asked() == ["the tea"]
    working.step()
    assert working.asked() == ["the tea"]
    assert working.history.num_read == 1


def test_new_items_are_worked_as_they_arrive(working: Working) -> None:
    """They are readable online at once, and offline."""
    working.step()
    working.send("kettle", "mop")
    working.step()
    assert working.known("kettle", "mop", "other") == ["kettle", "mop"]
    assert working.features.keys(KNOWLEDGE) == ["kettle", "mop"]
    assert working.worker.progress().learned.num_accepted == 2


def test_an_item_that_is_known_is_not_asked_about_again(working: Working) -> None:
    """The same words cost one call, other words another."""
    working.send("mop")
    working.step()
    working.send("mop")
    working.step()
    assert len(working.model.prompts) == 1
    working.send("mop", title="a better {}")
    working.step()
    assert working.asked() == ["the mop", "a better mop"]


def test_failing_items_wait_and_are_tried_again(working: Working) -> None:
    """The others are stored; the position is not saved while one waits."""
    working.failing.add("mop")
    working.send("kettle", "mop")
    working.step()
    progress = working.worker.progress()
    assert working.known("kettle", "mop") == ["kettle"]
    assert (progress.is_idle, progress.trouble) == (False, "the model is away")
    assert working.saved() is None
    working.failing.clear()
    working.step()
    progress = working.worker.progress()
    assert working.known("mop") == ["mop"]
    assert (progress.is_idle, progress.trouble) == (True, "")
    assert working.saved() == 2
    assert working.asked().count("the kettle") == 1


def test_a_restart_takes_up_the_items_that_waited(working: Working) -> None:
    """The position was saved before them, so they come again from the topic."""
    working.send("kettle")
    working.step()
    working.failing.add("mop")
    working.send("mop")
    working.step()
    (followed,) = working.follower().poll(0.0, 10)
    assert followed.table["item_id"].to_pylist() == ["mop"]


def test_at_most_so_many_items_go_together(tmp_path: Path) -> None:
    """A long catalogue is worked in steps; idle, and saved, when none is left."""
    working = Working(tmp_path, max_concurrent=2)
    working.send("a", "b", "c")
    working.step()
    assert len(working.model.prompts) == 2
    assert not working.worker.progress().is_idle
    assert working.saved() is None
    working.step()
    assert len(working.model.prompts) == 3
    assert working.worker.progress().is_idle
    assert working.saved() == 3


def test_it_is_not_idle_before_it_has_begun(working: Working) -> None:
    """Whoever waits for idleness waits for the best sellers too."""
    assert not working.worker.progress().is_idle
    working.step()
    assert working.worker.progress().is_idle
    assert working.worker.progress().model == working.worker.model == "scripted"


def test_best_sellers_that_cannot_be_read_are_not_skipped(
    working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    """The features are away at the start: reported, and tried again."""
    working.history.events = [bought("u", "tea", 1)]
    working.in_catalogue("tea")
    working.features.away.add(ITEMS.name)
    working.step()
    assert "away" in working.worker.progress().trouble
    assert "item knowledge waits" in caplog.text
    working.features.away.clear()
    working.step()
    assert working.known("tea") == ["tea"]


def test_a_description_that_changes_in_work_is_worked_again(working: Working) -> None:
    """The answer to the old words does not settle the new ones."""
    working.send("mop")
    working.step()
    before = len(working.model.prompts)
    original = working.worker._base.learn

    async def learn(items: list[Item]) -> object:
        learned = await original(items)
        newer = Item(item_id="pan", title="a NEWER pan", event_time_ms=9)
        if len(working.model.prompts) == before + 1:
            working.worker._waiting["pan"] = newer
        return learned

    working.worker._base.learn = learn  # type: ignore[method-assign, assignment]
    working.send("pan")
    working.step()
    assert not working.worker.progress().is_idle
    working.step()
    assert working.asked()[-1] == "a NEWER pan"
    assert working.worker.progress().is_idle


def test_a_closed_worker_reads_no_more(working: Working) -> None:
    """Its connection is gone."""
    asyncio.run(working.worker.close())
    working.send("mop")
    working.step()
    assert working.model.prompts == []
