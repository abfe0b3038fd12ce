"""A running system for the tests: small data, small models, a language model that obeys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_apps.jobs.backfill import backfill_events
from ray_apps.jobs.generate import generate_for_all
from ray_apps.runtime.home import Home
from ray_apps.serving.app import serving
from ray_apps.settings import Settings
from ray_apps.system import Infrastructure, streaming
from ray_apps.training.retrain import retrain
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import read_online_retail
from reaseq.feature_views import ITEMS
from reaseq.knowledge.settings import KnowledgeSettings
from streams.feature_store.features import Features
from streams.log.codec import item_codec
from streams.log.kafka import KafkaLog
from streams.log.replay import replay
from tests.language_model import LanguageModel
from tests.processes import titled
from tests.waiting import PATIENCE_S, wait_until

NUM_USERS = 60

FIRST_TRAINED_UP_TO_MS = 1_322_697_600_000
"""2011-12-01, nine days before the data end: time on which a challenger can be compared."""


class Shop:
    """A running system with trained models, and what a client needs."""

    def __init__(self, settings: Settings, url: str, user_id: str, llm: LanguageModel) -> None:
        self.settings = settings
        self.url = url
        self.user_id = user_id
        self.llm = llm
        self.http = httpx.Client(base_url=url, timeout=PATIENCE_S)

    def health(self) -> dict[str, Any]:
        """What the health check says when every part answers it, which it gives half a second."""
        health: dict[str, Any] = {}

        def is_whole() -> bool:
            health.update(self.http.get("/healthz").json())
            return not health["fallbacks"]

        wait_until(is_whole)
        return health

    def close(self) -> None:
        """Let the connections go."""
        self.http.close()

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

    def send_item(self, item_id: str, title: str) -> None:
        """A new item arrives on its topic."""
        item = {"item_id": item_id, "title": title, "event_time_ms": time.time_ns() // 1_000_000}
        with closing(KafkaLog(self.settings.kafka).writer()) as writer:
            writer.send(self.settings.topics.items, json.dumps(item).encode(), item_id.encode())


@contextmanager
def open_shop(settings: Settings) -> Iterator[Shop]:
    """Everything from the log to the slate, with models that are small but trained."""
    with closing(LanguageModel()) as llm:
        settings = _small(settings, llm.url)
        log = KafkaLog(settings.kafka)
        data = _small_log()
        file = settings.home / "history.parquet"
        pq.write_table(data.events, file)
        with streaming(Infrastructure(settings, log)) as stream:
            with closing(log.writer()) as writer:
                replay(data.items, "item_id", settings.topics.items, item_codec(100_000), writer)
            backfill_events(settings, file)
            features = Features.open(Home(settings.home).features)
            wait_until(lambda: features.newest(ITEMS).num_rows == data.items.num_rows)
            version = retrain(settings, "generator").challenger.version
            generate_for_all(settings, version, lambda done, total: None)
            retrain(settings, "ranker", end_ms=FIRST_TRAINED_UP_TO_MS)
            with serving(settings) as url:
                users = data.events["user_id"].dictionary_encode().combine_chunks()
                busiest = users.dictionary[pc.mode(users.indices)[0].as_py()["mode"]].as_py()
                with closing(Shop(settings, url, busiest, llm)) as shop:
                    yield shop
            stream.check()


def _small_log() -> EventLog:
    """Some users, and the items that they touched."""
    log = read_online_retail().of_users(NUM_USERS)
    touched = pc.is_in(log.items["item_id"], value_set=pc.unique(log.events["item_id"]))
    return log._replace(items=log.items.filter(touched))


def _small(settings: Settings, url: str) -> Settings:
    return settings.model_copy(
        update={
            "stream": settings.stream.model_copy(update={"num_shards": 1}),
            "train": settings.train.model_copy(update={"num_workers": 1}),
            "ranker": settings.ranker.model_copy(update={"num_epochs": 1}),
            "generator": settings.generator.model_copy(
                update={
                    "num_epochs": 1,
                    "hidden_size": 32,
                    "num_layers": 1,
                    "num_heads": 2,
                }
            ),
            "generation": settings.generation.model_copy(
                update={"min_new_events": 2, "timeout_s": 2.0}
            ),
            "knowledge": KnowledgeSettings(
                source="endpoint",
                model="told-what-to-say",
                base_url=url,
                num_best_sellers=3,
                timeout_s=2.0,
            ),
        }
    )


def replica_of(deployment: str) -> psutil.Process:
    """The process of a deployment's replica, found by the title that Ray gives it."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found[:] = titled(f"ServeReplica:reaseq:{deployment}")
        return bool(found)

    wait_until(is_there)
    return found[0]
