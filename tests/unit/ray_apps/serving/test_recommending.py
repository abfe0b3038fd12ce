"""`ray_apps.serving.recommending`: the champion, what it learns, and what is left without it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ray_apps.serving.live_recommender import HORIZON_MS, LiveRecommender
from ray_apps.serving.new_items import NewItemWatch
from ray_apps.serving.popular import PopularItems
from ray_apps.serving.recommending import RecommenderService
from reaseq.events import Item
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import NO_RANKER, Scene, Slate
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.seen import PERIOD_MS
from streams.log.memory import MemoryLog
from streams.shards.follower import Follower, at
from tests.unit.ray_apps.serving.fakes import (
    EVENT_CODEC,
    EVENTS,
    ITEM_CODEC,
    ITEMS_TOPIC,
    BreakableFeatures,
    FakeEncoder,
    FakeHistory,
    FakeRegistry,
    bought,
    event_table,
    memory_log,
    send_events,
    send_items,
    sequence_of,
    toy_recommender,
)

STRANGER = SEQUENCE_SCHEMA.empty_table()


class Shop:
    """A service on fakes. The tail begins at the first record of the topic."""

    def __init__(self, champion: str | None = None, *history: tuple[str, str, int]) -> None:
        self.log: MemoryLog = memory_log()
        self.registry = FakeRegistry(champion)
        self.history = FakeHistory(*(bought(*event) for event in history))
        self.loaded: dict[str, Recommender] = {}
        self.broken: set[str] = set()
        self.items = self._follower(ITEMS_TOPIC)
        self.tail = self._follower(EVENTS)
        self.service = RecommenderService(
            self.registry,
            self._load,
            tail=self.tail,
            history=self.history,
            new_items=NewItemWatch(BreakableFeatures(), self.items, FakeEncoder()),
            popular=PopularItems(self.history),
        )

    def _follower(self, topic: str) -> Follower:
        codec = EVENT_CODEC if topic == EVENTS else ITEM_CODEC
        partitions = self.log.partitions(topic)
        start = at(dict.fromkeys(partitions, 0))
        return Follower(self.log.reader("test"), codec, partitions, start)

    def _load(self, folder: Path) -> Recommender:
        if folder.name in self.broken:
            raise ValueError("torn")
        self.loaded[folder.name] = toy_recommender(folder.name)
        return self.loaded[folder.name]

    def step(self) -> None:
        asyncio.run(self.service.step())

    def recommend(self, sequence: pa.Table = STRANGER, k: int = 2) -> Slate:
        return asyncio.run(self.service.recommend(sequence, Scene.GUESS, k))


def purchases_in(recommender: Recommender) -> dict[str, float]:
    """What the popularity of a recommender has counted."""
    top = recommender.popularity.top(10)
    item_ids = recommender.vocabulary.decode(top.codes)
    return dict(zip(item_ids, np.round(top.scores, 3).tolist(), strict=True))


def test_without_a_model_the_answer_is_popular_items() -> None:
    """And says so; the first promotion changes that."""
    shop = Shop(None, ("u", "cup", 1))
    slate = shop.recommend()
    assert [item.item_id for item in slate.items] == ["cup"]
    assert slate.fallbacks == (NO_RANKER,)
    assert shop.service.version is None
    shop.registry.promote("v1")
    shop.step()
    assert shop.service.version == "v1"
    assert shop.recommend(sequence_of("u", ("tea", 5))).model_version == "v1"


def test_the_champion_is_there_from_the_start() -> None:
    """A replica that says it is ready has its model."""
    assert Shop("v1").service.version == "v1"


def test_a_service_starts_without_a_registry() -> None:
    """Popular items until it answers."""
    registry = FakeRegistry("v1")
    registry.is_away = True
    shop = Shop(None, ("u", "cup", 1))
    service = RecommenderService(
        registry,
        toy_of,
        tail=shop.tail,
        history=shop.history,
        new_items=NewItemWatch(BreakableFeatures(), shop.items, FakeEncoder()),
        popular=PopularItems(shop.history),
    )
    slate = asyncio.run(service.recommend(STRANGER, Scene.GUESS, 1))
    assert slate.fallbacks == (NO_RANKER,)


def toy_of(folder: Path) -> Recommender:
    return toy_recommender(folder.name)


def test_it_learns_history_then_events_as_they_come() -> None:
    """What a stranger is shown follows what was bought."""
    shop = Shop("v1", ("u", "cup", 1), ("v", "cup", 2), ("w", "tea", 3))
    assert [item.item_id for item in shop.recommend().items] == ["cup", "tea"]
    send_events(shop.log, *(bought(f"n{i}", "pot", 10 + i) for i in range(3)))
    shop.step()
    assert [item.item_id for item in shop.recommend().items] == ["pot", "cup"]


def test_an_event_is_learnt_once() -> None:
    """Steps without new events change nothing."""
    shop = Shop("v1")
    send_events(shop.log, bought("u", "tea", 5))
    for _ in range(3):
        shop.step()
    assert purchases_in(shop.loaded["v1"])["tea"] == 1.0


def test_a_replay_of_the_topic_teaches_nothing() -> None:
    """Nor does an event that a client sends twice at once, or one that the history holds."""
    shop = Shop("v1", ("u", "cup", 1))
    events = [bought(f"u{n}", item, 5 + n) for n, item in enumerate(["tea", "tea", "pot"])]
    for _ in range(3):
        send_events(shop.log, bought("u", "cup", 1), *events, events[0])
        shop.step()
    assert purchases_in(shop.loaded["v1"]) == pytest.approx({"cup": 1, "tea": 2, "pot": 1})
    shop.registry.promote("v2")
    for _ in range(3):
        shop.step()
    assert purchases_in(shop.loaded["v2"]) == pytest.approx({"cup": 1, "tea": 2, "pot": 1})


def test_what_is_long_ago_is_neither_learnt_nor_remembered() -> None:
    """So what a recommender remembers does not grow with the years."""
    recommender = toy_recommender("v1")
    live = LiveRecommender(recommender, event_table([]))
    live.observe(event_table([bought("u", "tea", time_ms) for time_ms in range(100)]))
    later = [bought("v", "cup", HORIZON_MS + PERIOD_MS + time_ms) for time_ms in range(100)]
    live.observe(event_table(later))
    live.observe(event_table([bought("w", "pot", 50)]))
    assert len(live._seen) == 100
    assert "pot" not in purchases_in(recommender)


def test_a_new_champion_learns_what_the_old_one_did() -> None:
    """The tail begins again where the shards had come to, for the new one alone."""
    shop = Shop("v1")
    send_events(shop.log, bought("u", "tea", 5), bought("v", "tea", 6))
    shop.step()
    shop.registry.promote("v2")
    shop.step()
    shop.step()
    assert purchases_in(shop.loaded["v2"])["tea"] == 2.0
    assert purchases_in(shop.loaded["v1"])["tea"] == 2.0
    assert shop.service.version == "v2"


@pytest.mark.parametrize("what", ["folder", "history", "catalogue"])
def test_a_champion_that_cannot_take_over_leaves_the_old_one_as_it_was(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves on, goes on learning, and learns nothing twice."""
    shop = Shop("v1")
    send_events(shop.log, bought("u", "tea", 5))
    shop.step()
    if what == "folder":
        shop.broken.add("v2")
    broken = {"history": (shop.history, "read"), "catalogue": (shop.items, "starts")}.get(what)
    if broken:
        monkeypatch.setattr(*broken, lambda: 1 / 0)
    shop.registry.promote("v2")
    shop.step()
    send_events(shop.log, bought("v", "tea", 6))
    shop.step()
    assert shop.service.version == "v1"
    assert purchases_in(shop.loaded["v1"])["tea"] == 2.0


def test_new_items_are_shown_to_those_who_have_their_like() -> None:
    """A tea that arrived after the model was trained, for a drinker of tea."""
    shop = Shop("v1")
    send_items(shop.log, Item(item_id="blend", title="GREEN TEA", event_time_ms=2))
    shop.step()
    shown = shop.recommend(sequence_of("u", ("tea", 5)), k=3).items[-1]
    assert (shown.item_id, shown.sources) == ("blend", ("new",))


def test_a_closed_service_reads_no_more() -> None:
    """Both of its followers are closed."""
    shop = Shop("v1")
    asyncio.run(shop.service.close())
    send_events(shop.log, bought("u", "tea", 5))
    send_items(shop.log, Item(item_id="blend", title="GREEN TEA", event_time_ms=2))
    assert shop.tail.poll(0.0, 10) == []
    assert shop.items.poll(0.0, 10) == []


def test_what_the_model_was_trained_on_is_not_learnt_again() -> None:
    """Of the history only what is newer; it still says what time it is."""
    recommender = toy_recommender("v1", trained_up_to_ms=50)
    history = event_table([bought("u", "tea", 50), bought("u", "cup", 51)])
    live = LiveRecommender(recommender, history)
    assert purchases_in(recommender) == {"cup": 1.0}
    assert live.clock.now_ms == 51


def test_now_is_just_after_the_newest_event_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the history or of what came; no single user says what time it is, nor a single event."""
    recommender = toy_recommender("v1")
    live = LiveRecommender(recommender, event_table([bought("u", "tea", 50)]))
    asked: list[int] = []
    monkeypatch.setattr(recommender, "recommend", lambda row, scene, k, at_ms: asked.append(at_ms))
    live.recommend(sequence_of("u", ("tea", 20)), Scene.GUESS, 1)
    live.observe(event_table([bought("u", "tea", 70), bought("u", "cup", 60)]))
    live.observe(event_table([]))
    live.observe(event_table([bought("u", "tea", 65)]))
    live.recommend(STRANGER, Scene.GUESS, 1)
    live.recommend(sequence_of("u", ("tea", 90)), Scene.GUESS, 1)
    live.observe(event_table([bought("u", "cup", 71)] * 60))
    live.observe(event_table([bought("u", "cup", 4_070_908_800_000)]))
    live.recommend(STRANGER, Scene.GUESS, 1)
    assert asked == [51, 71, 71, 72]


def test_without_any_event_the_user_says_what_time_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model on an empty history."""
    recommender = toy_recommender("v1")
    live = LiveRecommender(recommender, event_table([]))
    asked: list[int] = []
    monkeypatch.setattr(recommender, "recommend", lambda row, scene, k, at_ms: asked.append(at_ms))
    live.recommend(sequence_of("u", ("tea", 90)), Scene.GUESS, 1)
    live.recommend(STRANGER, Scene.GUESS, 1)
    assert asked == [91, 1]
