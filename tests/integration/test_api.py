"""End to end over HTTP: an event changes the next recommendation; errors name their cause."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ray_apps.backfill import backfill_events
from ray_apps.home import Home
from ray_apps.models import Models
from ray_apps.serving.app import serving
from ray_apps.system import Foundation, streaming
from ray_apps.training.train import train_model
from reaseq.datasets.online_retail import read_online_retail
from reaseq.settings import Settings
from streams.codec import item_codec
from streams.features import Features
from streams.kafka_log import KafkaLog
from streams.replay import replay

NUM_USERS = 150


class Shop:
    """A running system with a trained model, and what a client needs."""

    def __init__(self, settings: Settings, url: str, user_id: str) -> None:
        self.settings = settings
        self.user_id = user_id
        self.http = httpx.Client(base_url=url, timeout=30)

    def recommend(self, user_id: str, **params: Any) -> dict[str, Any]:
        answer = self.http.get(f"/v1/users/{user_id}/recommendations", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def buy(self, user_id: str, item_ids: list[str]) -> int:
        now_ms = time.time_ns() // 1_000_000
        events = [
            {
                "user_id": user_id,
                "item_id": item_id,
                "event_type": "purchase",
                "event_time_ms": now_ms,
            }
            for item_id in item_ids
        ]
        answer = self.http.post("/v1/events", json=events)
        assert answer.status_code == 202, answer.text
        assert len(answer.json()["event_ids"]) == len(item_ids)
        return now_ms


@pytest.fixture(scope="module")
def shop(
    make_settings: Callable[[Path], Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    settings = make_settings(tmp_path_factory.mktemp("shop"))
    settings = settings.model_copy(
        update={"ranker": settings.ranker.model_copy(update={"num_epochs": 1})}
    )
    log = KafkaLog(settings.kafka)
    data = read_online_retail().of_users(NUM_USERS)
    file = settings.home / "history.parquet"
    pq.write_table(data.events, file)
    with streaming(Foundation(settings, log)) as stream:
        writer = log.writer()
        replay(data.items, "item_id", settings.topics.items, item_codec(100_000), writer)
        writer.close()
        backfill_events(settings, file)
        wait_until(
            lambda: (
                Features.open(Home(settings.home).features).catalogue().num_rows
                == data.items.num_rows
            )
        )
        manifest = train_model(settings)
        Models(Home(settings.home).models).promote(manifest.version)
        with serving(settings) as url:
            busiest = pc.mode(data.events["user_id"].dictionary_encode().combine_chunks().indices)
            code = busiest[0].as_py()["mode"]
            user_id = pc.unique(data.events["user_id"])[code].as_py()
            yield Shop(settings, url, user_id)
        stream.check()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


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
    assert shop.recommend(user_id, k=5)["fallbacks"] == []


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
    reader = log.reader("test")
    reader.assign(dict.fromkeys(log.partitions(shop.settings.topics.impressions), 0))
    logged: dict[str, Any] = {}

    def arrived() -> bool:
        for batch in reader.poll(0.2, 1000):
            for record in batch.records:
                impression = msgspec.json.decode(record.value or b"{}")
                logged[impression["impression_id"]] = impression
        return shown["impression_id"] in logged

    wait_until(arrived)
    reader.close()
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
    assert shop.http.get("/healthz").json()["model_version"] == "v0001"
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
    """An unknown scene and a `k` out of bounds are the client's to mend."""
    path = f"/v1/users/{shop.user_id}/recommendations"
    assert shop.http.get(path, params={"scene": "attic"}).status_code == 422
    assert shop.http.get(path, params={"k": 0}).status_code == 422
    too_many = shop.http.get(path, params={"k": 101})
    assert too_many.status_code == 422
    assert "serve.max_k" in too_many.text


def test_a_promotion_reaches_the_running_application(shop: Shop) -> None:
    """Another process names a new champion; the replica takes it up without a failed request."""
    models = Models(Home(shop.settings.home).models)
    folder = models.folder_of("v0001")
    copy = models.folder_of("v0002")
    copy.mkdir()
    for file in folder.iterdir():
        content = file.read_bytes()
        if file.name == "manifest.json":
            content = content.replace(b'"v0001"', b'"v0002"')
        (copy / file.name).write_bytes(content)
    models.promote("v0002")
    wait_until(lambda: shop.recommend(shop.user_id, k=1)["model_version"] == "v0002")
    models.promote("v0001")
    wait_until(lambda: shop.recommend(shop.user_id, k=1)["model_version"] == "v0001")
