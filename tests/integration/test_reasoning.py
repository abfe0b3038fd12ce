"""Knowledge and generated behaviours in the running system, and what happens when they fail."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from ray_apps.runtime.home import Home
from reaseq.feature_views import GENERATED, ITEMS, SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from streams.feature_store.features import Features
from streams.offline.events import EventArchive
from tests.integration.shop import Shop, replica_of
from tests.processes import kill
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def a_model_that_works(shop: Shop) -> Iterator[None]:
    """Each test begins and ends with a language model that answers well."""
    shop.llm.mode = "well"
    yield
    shop.llm.mode = "well"


def knowledge_of(shop: Shop, item_id: str) -> dict[str, object] | None:
    answer = shop.http.get(f"/v1/items/{item_id}/knowledge")
    return dict(answer.json()) if answer.status_code == 200 else None


def generated_for(shop: Shop, user_id: str) -> dict[str, object] | None:
    answer = shop.http.get(f"/v1/users/{user_id}/generated")
    return dict(answer.json()) if answer.status_code == 200 else None


def some_items(shop: Shop, num: int) -> list[str]:
    slate = shop.recommend("a-stranger", k=num)
    return [item["item_id"] for item in slate["items"]]


def test_generated_behaviours_are_served_with_what_they_rest_on(shop: Shop) -> None:
    """For a user of the history: items outside the log, with probabilities and provenance."""
    row = generated_for(shop, shop.user_id)
    assert row is not None
    features = Features.open(Home(shop.settings.home).features)
    logged = features.read(SEQUENCES, [shop.user_id])["item_ids"][0].as_py()
    items = row["items"]
    assert isinstance(items, list)
    assert items
    assert not {item["item_id"] for item in items} & set(logged)
    assert all(0 < item["probability"] <= 1 for item in items)
    assert row["model_version"] == "v0001"


def test_generated_behaviours_never_reach_log_or_sequences(shop: Shop) -> None:
    """The archive holds events alone; the offline sequences hold what was logged alone."""
    home = Home(shop.settings.home)
    events = EventArchive(home.events).read()
    assert events.schema.names == EVENT_SCHEMA.names
    features = Features.open(home.features)
    users = EventArchive(home.events).users()
    assert features.read(GENERATED, users).num_rows > 0
    logged = {}
    for event in events.select(["user_id", "item_id"]).to_pylist():
        logged.setdefault(event["user_id"], set()).add(event["item_id"])
    rows = features.read(SEQUENCES, users)
    assert rows.schema.names == SEQUENCE_SCHEMA.names
    for row in rows.select(["user_id", "item_ids"]).to_pylist():
        assert set(row["item_ids"]) <= logged[row["user_id"]]


def test_enough_new_events_generate_again(shop: Shop) -> None:
    """A newcomer's second event passes the limit; what comes rests on the newest event."""
    user_id = f"newcomer-{uuid.uuid4().hex}"
    first, second = some_items(shop, 2)
    shop.buy(user_id, [first])
    wait_until(lambda: shop.recommend(user_id)["known_user"])
    assert shop.recommend(user_id)["fallbacks"] == ["no_generated"]
    bought_ms = shop.buy(user_id, [second])
    wait_until(lambda: generated_for(shop, user_id) is not None)
    row = generated_for(shop, user_id)
    assert row is not None
    assert row["newest_event_time_ms"] == bought_ms
    assert row["partition"] in range(shop.settings.kafka.num_partitions)
    assert shop.recommend(user_id)["fallbacks"] == []


def test_a_killed_generator_delays_no_recommendation(shop: Shop) -> None:
    """Requests go on; when Serve has replaced the replica, those who waited are generated for."""
    user_id = f"patient-{uuid.uuid4().hex}"
    kill(replica_of("generator"))
    shop.buy(user_id, some_items(shop, 3))
    wait_until(lambda: shop.recommend(user_id)["known_user"])
    slate = shop.recommend(user_id)
    assert slate["model_version"] == "v0001"
    assert slate["items"]
    wait_until(lambda: generated_for(shop, user_id) is not None)


def test_best_sellers_are_known_with_provenance(shop: Shop) -> None:
    """The agent has worked the best-selling items and says by what."""
    events = EventArchive(Home(shop.settings.home).events).read()
    counts = events["item_id"].value_counts().to_pylist()
    best = max(counts, key=lambda row: row["counts"])["values"]
    wait_until(lambda: knowledge_of(shop, best) is not None)
    card = knowledge_of(shop, best)
    assert card is not None
    assert card["model"] == "told-what-to-say"
    assert card["verdict"] == "accepted"
    assert card["num_tokens"] == 40


def test_a_new_item_is_found_out_about_and_shown(shop: Shop) -> None:
    """From the topic to a card and to the slate of somebody who has its like."""
    features = Features.open(Home(shop.settings.home).features)
    bought = features.read(SEQUENCES, [shop.user_id])["item_ids"][0].as_py()[-1]
    title = features.read(ITEMS, [bought])["title"][0].as_py()
    item_id = f"new-{uuid.uuid4().hex[:8]}"
    shop.send_item(item_id, title + " IN NEW COLOURS")
    wait_until(lambda: knowledge_of(shop, item_id) is not None)
    shown: dict[str, list[str]] = {}

    def is_shown() -> bool:
        shown.clear()
        shown.update((i["item_id"], i["sources"]) for i in shop.recommend(shop.user_id)["items"])
        return item_id in shown

    wait_until(is_shown)
    assert list(shown)[-1] == item_id
    assert shown[item_id] == ["new"]


@pytest.mark.parametrize("mode", ["down", "slow"])
def test_a_language_model_that_fails_is_asked_again(shop: Shop, mode: str) -> None:
    """Nobody waits for it, nothing is stored, and the item is worked when it is back."""
    shop.llm.mode = mode
    item_id = f"later-{uuid.uuid4().hex[:8]}"
    asked = shop.llm.num_asked
    shop.send_item(item_id, "GARDEN SHEARS OF STEEL")
    # Twice: the second time, the first has failed.
    wait_until(lambda: shop.llm.num_asked > asked + 1)
    assert shop.recommend(shop.user_id)["model_version"] == "v0001"
    assert knowledge_of(shop, item_id) is None
    shop.llm.mode = "well"
    wait_until(lambda: knowledge_of(shop, item_id) is not None)


def test_nonsense_is_rejected_and_kept_as_such(shop: Shop) -> None:
    """An answer outside the schema is a rejection with a reason, and no second call."""
    shop.llm.mode = "nonsense"
    item_id = f"odd-{uuid.uuid4().hex[:8]}"
    shop.send_item(item_id, "WICKER PICNIC BASKET FOR TWO")
    wait_until(lambda: knowledge_of(shop, item_id) is not None)
    card = knowledge_of(shop, item_id)
    assert card is not None
    assert card["verdict"] == "rejected"
    assert card["reason"]


def test_a_killed_language_model_replica_comes_back(shop: Shop) -> None:
    """Recommendations do not notice; the next new item is worked by the new replica."""
    kill(replica_of("llm"))
    assert shop.recommend(shop.user_id)["model_version"] == "v0001"
    item_id = f"after-{uuid.uuid4().hex[:8]}"
    shop.send_item(item_id, "WOODEN CHESS SET WITH BOARD")
    wait_until(lambda: knowledge_of(shop, item_id) is not None)


def test_the_health_check_names_every_part(shop: Shop) -> None:
    """Models of ranker, generator and agent, and nothing missing."""
    health = shop.health()
    assert health["generator_version"] == "v0001"
    assert health["knowledge_model"] == "told-what-to-say"
