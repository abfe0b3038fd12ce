"""`reaseq.recommendation.recommender`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.generated import GeneratedItems
from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.popularity import Popularity
from reaseq.ranker.fit import text_by_code
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.ranker.settings import RankerSettings
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import Slate
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["tea", "cup", "pot", "train", "rail"])
VECTORS = np.array([[1, 0], [0.9, 0.1], [0.9, 0.2], [0, 1], [0.1, 0.9]], np.float32)
NOW_MS = 50 * 86_400_000


def purchases(*orders: tuple[int, list[str]]) -> pa.Table:
    """Events of one user from (time, items)."""
    events = [
        dict(zip(EVENT_SCHEMA.names, [f"{t}{i}", "u", i, "purchase", t, 1.0], strict=True))
        for t, items in orders
        for i in items
    ]
    return pa.Table.from_pylist(events, schema=EVENT_SCHEMA)


def sequence(*events: tuple[str, str, int]) -> pa.Table:
    """One row of SEQUENCE_SCHEMA from (item, type, time), a rail generated beside it."""
    row = {
        "user_id": "u",
        "item_ids": [event[0] for event in events],
        "event_types": [event[1] for event in events],
        "event_times_ms": [event[2] for event in events],
        "event_values": [1.0] * len(events),
        "event_keys": list(range(len(events))),
        "newest_event_time_ms": events[-1][2] if events else 0,
        "revision": len(events),
    }
    logged = pa.Table.from_pylist([row], schema=SEQUENCE_SCHEMA)
    beside = {"generated_item_ids": ["rail"], "generated_probabilities": [0.5]}
    for name, values in beside.items():
        logged = logged.append_column(name, pa.array([values]))
    return logged


def random_ranker(vocabulary: ItemVocabulary = ITEMS) -> Ranker:
    """A ranker whose scores differ from item to item."""
    torch.manual_seed(0)
    settings = RankerSettings(hidden_size=8, head_size=4)
    text = text_by_code(np.eye(len(vocabulary), dtype=np.float32))
    model = RankerModel(text, settings)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn_like(weights))
    return Ranker.of(model, vocabulary, version="v1")


def recommender_with(ranker: Ranker | None) -> Recommender:
    """Sources that have seen a few orders."""
    sources = (
        CoOccurrence(ITEMS),
        NearestItems(ITEMS, VECTORS),
        GeneratedItems(ITEMS),
        Popularity(ITEMS),
    )
    recommender = Recommender(ITEMS, sources, ranker)
    recommender.observe(purchases((1, ["tea", "cup"]), (2, ["tea", "pot"]), (3, ["train"])))
    return recommender


@pytest.fixture
def recommender() -> Recommender:
    """The whole thing."""
    return recommender_with(random_ranker())


def ids(slate: Slate) -> list[str]:
    """The items, best first."""
    return [item.item_id for item in slate.items]


def test_the_ranker_orders_what_the_sources_propose(recommender: Recommender) -> None:
    """Best score first, every item with its reasons, and the model's name."""
    slate = recommender.recommend(sequence(("tea", "purchase", 5)), "guess", 5, NOW_MS)
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)
    assert (slate.model_version, slate.fallbacks) == ("v1", ())
    reasons = {item.item_id: item.sources for item in slate.items}
    assert "bought_together" in reasons["cup"]
    assert "similar" in reasons["cup"]
    assert reasons["train"] == ("popular",)


def test_the_slate_equals_the_rankers_own_order(recommender: Recommender) -> None:
    """With all items proposed, the slate is the top of the full ranking."""
    row = sequence(("tea", "purchase", 5), ("train", "view", 6))
    assert recommender.ranker is not None
    scores = recommender.ranker.score(row, np.array([NOW_MS]))[0]
    expected = [ITEMS.item_ids[i] for i in np.argsort(-scores)]
    assert ids(recommender.recommend(row, "guess", 5, NOW_MS)) == expected


def test_post_buy_leaves_the_newest_order_out_and_draws_from_it(recommender: Recommender) -> None:
    """What was just bought is not offered; older purchases may be."""
    row = sequence(
        ("train", "purchase", 4), ("tea", "purchase", 5), ("cup", "purchase", 5), ("pot", "view", 6)
    )
    slate = recommender.recommend(row, "post_buy", 5, NOW_MS)
    assert not {"tea", "cup"} & set(ids(slate))
    reasons = {item.item_id: item.sources for item in slate.items}
    assert "bought_together" in reasons["pot"]
    assert "bought_together" not in reasons["train"]
    assert slate.fallbacks == ()


def test_post_buy_without_a_purchase_says_so(recommender: Recommender) -> None:
    """Candidates then come from the whole sequence."""
    slate = recommender.recommend(sequence(("tea", "view", 5)), "post_buy", 3, NOW_MS)
    assert slate.fallbacks == ("no_order",)
    assert len(slate.items) == 3


@pytest.mark.parametrize(
    "row", [None, SEQUENCE_SCHEMA.empty_table(), sequence(), sequence(("nowhere", "view", 1))]
)
def test_an_unknown_user_gets_what_is_popular(
    recommender: Recommender, row: pa.Table | None
) -> None:
    """No row, an empty one, or nothing in it that the vocabulary holds."""
    slate = recommender.recommend(row, "guess", 2, NOW_MS)
    assert ids(slate)[0] == "tea"
    assert (slate.model_version, slate.fallbacks) == (None, ("unknown_user",))
    assert {item.sources for item in slate.items} == {("popular",)}


@pytest.mark.parametrize("scene", ["guess", "post_buy"])
def test_without_a_ranker_popular_items_stand_in(scene: str) -> None:
    """The slate says that no model took part; `post_buy` still leaves the order out."""
    row = sequence(("tea", "purchase", 5))
    slate = recommender_with(None).recommend(row, scene, 3, NOW_MS)
    assert (slate.model_version, slate.fallbacks) == (None, ("no_ranker",))
    assert ("tea" in ids(slate)) == (scene == "guess")


@pytest.mark.parametrize("k", [0, -1, 101])
def test_k_out_of_bounds_is_refused(recommender: Recommender, k: int) -> None:
    """The message names the bounds."""
    with pytest.raises(ValueError, match=r"1\.\.100"):
        recommender.recommend(None, "guess", k, NOW_MS)


def test_a_scene_that_does_not_exist_is_refused(recommender: Recommender) -> None:
    """The message names those that do."""
    with pytest.raises(ValueError, match="guess, post_buy"):
        recommender.recommend(None, "checkout", 1, NOW_MS)


def test_a_ranker_of_another_vocabulary_is_refused() -> None:
    """Its codes would mean other items."""
    with pytest.raises(ValueError, match="vocabular"):
        recommender_with(random_ranker(ItemVocabulary(["tea"])))


@pytest.mark.parametrize("has_ranker", [True, False])
def test_a_loaded_recommender_answers_like_the_saved_one(tmp_path: Path, has_ranker: bool) -> None:
    """Model and candidate index share a folder, with a ranker or without."""
    recommender = recommender_with(random_ranker() if has_ranker else None)
    recommender.save(tmp_path)
    loaded = Recommender.load(tmp_path)
    row = sequence(("tea", "purchase", 5), ("rail", "view", 6))
    for scene in ("guess", "post_buy"):
        saved_slate = recommender.recommend(row, scene, 4, NOW_MS)
        assert loaded.recommend(row, scene, 4, NOW_MS) == saved_slate


def test_generated_behaviours_are_candidates(recommender: Recommender) -> None:
    """What was generated is proposed, and the slate says so."""
    slate = recommender.recommend(sequence(("tea", "purchase", 5)), "guess", 5, NOW_MS)
    reasons = {item.item_id: item.sources for item in slate.items}
    assert "generated" in reasons["rail"]


def test_without_generated_behaviours_the_slate_says_so(recommender: Recommender) -> None:
    """It is ranked from the log alone."""
    row = sequence(("tea", "purchase", 5)).select(SEQUENCE_SCHEMA.names)
    slate = recommender.recommend(row, "guess", 3, NOW_MS)
    assert slate.fallbacks == ("no_generated",)
    assert len(slate.items) == 3


def test_a_new_item_gets_the_last_place_where_it_fits(recommender: Recommender) -> None:
    """Nobody has bought it; those who have its like are shown it, others are not."""
    recommender.new_items.put({"saucer": np.array([0.95, 0.05], np.float32)})
    tea = recommender.recommend(sequence(("tea", "purchase", 5)), "guess", 3, NOW_MS)
    train = recommender.recommend(sequence(("train", "purchase", 5)), "guess", 3, NOW_MS)
    assert (tea.items[-1].item_id, tea.items[-1].sources) == ("saucer", ("new",))
    assert len(tea.items) == 3
    assert "saucer" not in ids(train)
    alone = recommender.recommend(sequence(("tea", "purchase", 5)), "guess", 1, NOW_MS)
    assert ids(alone) != ["saucer"]
