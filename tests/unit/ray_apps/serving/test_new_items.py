"""`ray_apps.serving.new_items`."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ray_apps.serving.new_items import NewItemWatch
from reaseq.events import Item
from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.knowledge.item_knowledge import ItemKnowledge, knowledge_table
from reaseq.schemas import ITEM_SCHEMA
from reaseq.vocabulary import ItemVocabulary
from streams.log.memory import MemoryLog
from streams.log.ports import Partition
from streams.offline.tables import Commit
from streams.shards.follower import Follower, at
from tests.unit.ray_apps.serving.fakes import (
    ITEM_CODEC,
    ITEMS_TOPIC,
    VOCABULARY,
    BreakableFeatures,
    FakeEncoder,
    memory_log,
    send_items,
)


class Watching:
    """A watch on fakes, over a topic from its first record on."""

    def __init__(self) -> None:
        self.log: MemoryLog = memory_log()
        self.features = BreakableFeatures()
        self.encoder = FakeEncoder()
        partitions = self.log.partitions(ITEMS_TOPIC)
        start = at(dict.fromkeys(partitions, 0))
        reader = self.log.reader("new-items")
        self.follower = Follower(reader, ITEM_CODEC, partitions, start)
        self.watch = NewItemWatch(self.features, self.follower, self.encoder)

    def in_catalogue(self, *item_ids: str) -> None:
        rows = [{"item_id": i, "title": f"a {i}", "event_time_ms": 1} for i in item_ids]
        self.features.append(
            ITEMS, pa.Table.from_pylist(rows, schema=ITEM_SCHEMA), Commit("items", 1)
        )

    def learn(self, item_id: str, verdict: str = "accepted") -> None:
        one = ItemKnowledge(
            item_id=item_id,
            **dict.fromkeys(("what", "who", "when", "where", "why", "with_what"), "tea drinkers"),
            **dict.fromkeys(("content_hash", "prompt_version", "model"), "x"),
            **dict.fromkeys(("num_prompt_tokens", "num_tokens", "duration_s"), 1),
            verdict=verdict,  # type: ignore[arg-type]
            event_time_ms=1,
        )
        self.features.write(KNOWLEDGE, knowledge_table([one]))


@pytest.fixture
def watching() -> Watching:
    return Watching()


def item(item_id: str, title: str) -> Item:
    return Item(item_id=item_id, title=title, event_time_ms=2)


def test_items_of_the_catalogue_that_the_model_lacks_come_first(watching: Watching) -> None:
    """Those it knows get no vector, and none gets two."""
    watching.in_catalogue("tea", "kettle")
    watching.watch.begin(VOCABULARY)
    assert list(watching.watch.look()) == ["kettle"]
    assert watching.watch.look() == {}


def test_an_item_that_arrives_has_a_vector_by_its_title(watching: Watching) -> None:
    """As soon as it is in the log."""
    watching.watch.begin(VOCABULARY)
    send_items(watching.log, item("tea", "TEA"), item("blend", "GREEN TEA"), item("mop", "MOP"))
    vectors = watching.watch.look()
    assert {i: vector.tolist() for i, vector in vectors.items()} == {"blend": [0, 1], "mop": [1, 0]}


def test_knowledge_makes_the_vector_again_once(watching: Watching) -> None:
    """What an agent says about a mop brings it near tea; a rejected answer brings nothing."""
    watching.watch.begin(VOCABULARY)
    send_items(watching.log, item("mop", "MOP"))
    assert watching.watch.look()["mop"].tolist() == [1, 0]
    watching.learn("mop", "rejected")
    assert watching.watch.look() == {}
    watching.learn("mop")
    assert watching.watch.look()["mop"].tolist() == [0, 1]
    assert watching.watch.look() == {}


def test_a_new_vocabulary_begins_anew(watching: Watching) -> None:
    """For the next model: from the start of the topic, without what the model knows by now."""
    watching.watch.begin(VOCABULARY)
    send_items(watching.log, item("mop", "MOP"), item("pan", "PAN"))
    assert list(watching.watch.look()) == ["mop", "pan"]
    watching.watch.begin(ItemVocabulary([*VOCABULARY.item_ids, "mop"]))
    assert list(watching.watch.look()) == ["pan"]


def test_a_beginning_that_fails_leaves_the_watch_as_it_was(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The held model goes on with its own new items, and sees none twice."""
    watching.watch.begin(VOCABULARY)
    send_items(watching.log, item("mop", "MOP"))
    watching.watch.look()

    def away(view: object) -> pa.Table:
        raise RuntimeError("no catalogue")

    monkeypatch.setattr(watching.features, "newest", away)
    with pytest.raises(RuntimeError, match="no catalogue"):
        watching.watch.begin(ItemVocabulary([]))
    assert watching.watch.look() == {}
    send_items(watching.log, item("tea", "TEA"))
    assert watching.watch.look() == {}


def test_a_closed_watch_reads_no_more(watching: Watching) -> None:
    """Its follower's connection is gone."""
    watching.watch.close()
    send_items(watching.log, item("mop", "MOP"))
    assert watching.follower.poll(0.0, 10) == []
    assert watching.log.end_offset(Partition(ITEMS_TOPIC, 0)) == 1
