"""End to end over HTTP: an event changes the next recommendation; errors name their cause."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import Any

import msgspec
import pytest

from streams.log.kafka import KafkaLog
from tests.integration.shop import Shop
from tests.waiting import wait_until


def test_an_event_changes_the_next_recommendation(shop: Shop) -> None:
    """Buy through the API, and the ranking sees the purchase and answers differently."""
    before = shop.recommend(shop.user_id, k=20)
    assert before["known_user"]
    assert before["fallbacks"] == []
    assert before["model_version"] == "v0001"
    assert len(before["items"]) == 20
    unlikely = [item["item_id"] for item in shop.recommend(shop.user_id, k=100)["items"][-5:]]
    bought_ms = shop.buy(shop.user_id, unlikely)
    wait_until(lambda: shop.recommend(shop.user_id, k=1)["newest_event_time_ms"] == bought_ms)
    after = shop.recommend(shop.user_id, k=20)
    assert [i["item_id"] for i in after["items"]] != [i["item_id"] for i in before["items"]]


def test_a_stranger_gets_popular_items_and_is_known_after_the_first_event(shop: Shop) -> None:
    """Unknown user: popular items, said so; one purchase later the ranker answers."""
    user_id = f"stranger-{uuid.uuid4().hex}"
    first = shop.recommend(user_id, k=5)
    assert not first["known_user"]
    assert first["fallbacks"] == ["unknown_user"]
    assert {source for item in first["items"] for source in item["sources"]} == {"popular"}
    assert len(first["items"]) == 5
    shop.buy(user_id, [first["items"][0]["item_id"]])
    wait_until(lambda: bool(shop.recommend(user_id, k=5)["known_user"]))
    # One event is not yet worth generating for.
    assert shop.recommend(user_id, k=5)["fallbacks"] == ["no_generated"]


def test_post_buy_leaves_out_what_was_just_bought(shop: Shop) -> None:
    """After a purchase the slate goes with it, and does not sell it again."""
    user_id = f"buyer-{uuid.uuid4().hex}"
    item_id = shop.recommend(user_id, k=1)["items"][0]["item_id"]
    shop.buy(user_id, [item_id])
    wait_until(lambda: bool(shop.recommend(user_id, k=1)["known_user"]))
    slate = shop.recommend(user_id, k=20, scene="post_buy")
    assert slate["scene"] == "post_buy"
    assert slate["items"]
    assert item_id not in [item["item_id"] for item in slate["items"]]


def test_every_answer_is_logged_as_an_impression(shop: Shop) -> None:
    """What was shown goes to its topic with the features and the versions that led to it."""
    shown = shop.recommend(shop.user_id, k=3)
    log = KafkaLog(shop.settings.kafka)
    logged: dict[str, Any] = {}
    with closing(log.reader("test")) as reader:
        reader.assign(dict.fromkeys(log.partitions(shop.settings.topics.impressions), 0))

        def arrived() -> bool:
            for batch in reader.poll(0.2, 1000):
                for value in batch.values.to_pylist():
                    impression = msgspec.json.decode(value)
                    logged[impression["impression_id"]] = impression
            return shown["impression_id"] in logged

        wait_until(arrived)
    impression = logged[shown["impression_id"]]
    assert impression["items"] == shown["items"]
    assert impression["model_version"] == "v0001"
    assert impression["features"]["user_id"] == shop.user_id
    assert len(impression["features"]["item_ids"]) == shown["sequence_events"]


def test_items_health_and_documentation(shop: Shop) -> None:
    """An item by id, a missing one, the health check and the OpenAPI page."""
    item_id = shop.recommend(shop.user_id, k=1)["items"][0]["item_id"]
    item = shop.http.get(f"/v1/items/{item_id}").json()
    assert item["title"]
    assert item["num_purchases"] >= item["num_buyers"] >= 1
    missing = shop.http.get("/v1/items/none-such")
    assert missing.status_code == 404
    assert "none-such" in missing.json()["detail"]
    assert shop.health()["model_version"] == "v0001"
    paths = shop.http.get("/openapi.json").json()["paths"]
    assert "/v1/users/{user_id}/recommendations" in paths


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"event_type": "teleport"}, "event_type"),
        ({"event_time_ms": -1}, "event_time_ms"),
        ({"user_id": ""}, "user_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_requests_name_what_is_wrong(shop: Shop, wrong: dict[str, Any], field: str) -> None:
    """A bad event is refused with the field's name and never reaches the log."""
    event = {"user_id": "u", "item_id": "i", "event_type": "view", **wrong}
    answer = shop.http.post("/v1/events", json=event)
    assert answer.status_code == 422
    assert field in answer.text


def test_wrong_questions_are_refused(shop: Shop) -> None:
    """An unknown scene and a `k` out of bounds are the client's to fix."""
    path = f"/v1/users/{shop.user_id}/recommendations"
    assert shop.http.get(path, params={"scene": "attic"}).status_code == 422
    assert shop.http.get(path, params={"k": 0}).status_code == 422
    too_many = shop.http.get(path, params={"k": 101})
    assert too_many.status_code == 422
    assert "recommender.max_k" in too_many.text
