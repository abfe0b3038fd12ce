"""The one ingress: HTTP for people and programs.

It reads features, asks the recommender, logs what it showed. The recommender is a handle away; when
it is slow or gone the answer is popular items, and says so.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from fastapi import FastAPI, HTTPException, Query
from ray import serve
from ray.serve.handle import DeploymentHandle

from ray_apps.home import Home
from ray_apps.serving.api import (
    MAX_EVENTS_PER_REQUEST,
    EventIn,
    EventsAccepted,
    Health,
    ItemOut,
    Recommendations,
    RecommendedItem,
)
from ray_apps.serving.popular import PopularItems
from reaseq import __version__
from reaseq.recommender import Scene, Slate
from reaseq.settings import Settings
from streams.codec import event_codec
from streams.features import Features
from streams.kafka_log import KafkaLog

RECOMMENDER_UNAVAILABLE = "recommender_unavailable"
"""The fallback named when the recommender did not answer in time."""

api = FastAPI(
    title="reaseq",
    version=__version__,
    description="Recommendations from a stream of events. An event changes the next answer.",
)


@serve.ingress(api)
class Gateway:
    """HTTP ingress; one replica holds one feature-store reader and one log writer."""

    def __init__(self, settings: Settings, recommender: DeploymentHandle) -> None:
        home = Home(settings.home)
        self._settings = settings
        self._recommender = recommender
        self._features = Features.open(home.features)
        self._writer = KafkaLog(settings.kafka).writer()
        self._codec = event_codec(settings.kafka.max_event_bytes)
        self._popular = PopularItems(home)

    @api.get("/v1/users/{user_id}/recommendations", response_model=Recommendations)
    async def recommend(
        self,
        user_id: str,
        scene: Annotated[
            Scene, Query(description="guess: home page; post_buy: after a purchase")
        ] = Scene.GUESS,
        k: Annotated[int, Query(ge=1, description="How many items")] = 20,
    ) -> Recommendations:
        """The `k` best items for a user now."""
        if k > self._settings.serve.max_k:
            raise HTTPException(422, f"k is at most {self._settings.serve.max_k} (serve.max_k)")
        sequence = await asyncio.to_thread(self._features.read_sequences, [user_id])
        slate = await self._slate(sequence, scene, k)
        return await asyncio.to_thread(self._present, user_id, sequence, slate)

    @api.post("/v1/events", status_code=202, response_model=EventsAccepted)
    async def take_events(self, events: EventIn | list[EventIn]) -> EventsAccepted:
        """Append one event or a list of events to the log."""
        sent = events if isinstance(events, list) else [events]
        if len(sent) > MAX_EVENTS_PER_REQUEST:
            raise HTTPException(422, f"at most {MAX_EVENTS_PER_REQUEST} events in one request")
        await asyncio.to_thread(self._append, sent)
        return EventsAccepted(event_ids=[event.event_id for event in sent])

    @api.get("/v1/items/{item_id}", response_model=ItemOut)
    async def item(self, item_id: str) -> ItemOut:
        """What the catalogue knows of an item."""
        found = (await asyncio.to_thread(self._features.read_items, [item_id])).to_pylist()
        if not found:
            raise HTTPException(404, f"no item {item_id} in the catalogue")
        sold = (await asyncio.to_thread(self._features.read_popularity, [item_id])).to_pylist()
        numbers = sold[0] if sold else {"num_purchases": None, "num_buyers": None}
        return ItemOut(**{name: {**found[0], **numbers}[name] for name in ItemOut.model_fields})

    @api.get("/healthz", response_model=Health)
    async def health(self) -> Health:
        """200 while requests can be answered, with or without a model."""
        try:
            version = await asyncio.wait_for(
                self._recommender.model_version.remote(), self._settings.serve.recommender_timeout_s
            )
        except Exception:  # noqa: BLE001 - whatever it was, the gateway itself still answers
            return Health(status="ok", model_version=None, fallbacks=[RECOMMENDER_UNAVAILABLE])
        fallbacks = [] if version else ["no_ranker"]
        return Health(status="ok", model_version=version, fallbacks=fallbacks)

    async def _slate(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        try:
            answer = self._recommender.recommend.remote(sequence, scene, k)
            return await asyncio.wait_for(answer, self._settings.serve.recommender_timeout_s)
        except Exception:  # noqa: BLE001 - a recommendation never fails because a part did
            return self._popular.slate(scene, k, RECOMMENDER_UNAVAILABLE)

    def _present(self, user_id: str, sequence: pa.Table, slate: Slate) -> Recommendations:
        rows = self._features.read_items([item.item_id for item in slate.items]).to_pylist()
        known = {row["item_id"]: row for row in rows}
        seen = sequence.to_pylist()[0] if sequence.num_rows else None
        shown = Recommendations(
            user_id=user_id,
            scene=slate.scene,
            items=[
                RecommendedItem(
                    item_id=item.item_id,
                    title=known.get(item.item_id, {}).get("title"),
                    price=known.get(item.item_id, {}).get("price"),
                    score=item.score,
                    sources=list(item.sources),
                )
                for item in slate.items
            ],
            known_user=seen is not None,
            model_version=slate.model_version,
            fallbacks=list(slate.fallbacks),
            sequence_events=len(seen["item_ids"]) if seen else 0,
            newest_event_time_ms=seen["newest_event_time_ms"] if seen else None,
            impression_id=uuid.uuid4().hex,
        )
        self._log_impression(shown, seen)
        return shown

    def _log_impression(self, shown: Recommendations, seen: dict[str, Any] | None) -> None:
        """What was shown, with the features and versions that led to it."""
        impression = {
            "served_at_ms": time.time_ns() // 1_000_000,
            "reaseq_version": __version__,
            "features": seen,
            **shown.model_dump(),
        }
        topic = self._settings.topics.impressions
        self._writer.send(topic, msgspec.json.encode(impression), shown.user_id.encode())

    def _append(self, events: list[EventIn]) -> None:
        for event in events:
            try:
                value = self._codec.encode(event.to_event())
                self._writer.send(self._settings.topics.events, value, event.user_id.encode())
            except ValueError as error:
                raise HTTPException(413, str(error)) from None
        self._writer.flush()


def gateway_deployment() -> serve.Deployment:
    """The gateway as Serve runs it."""
    return serve.deployment(
        Gateway, num_replicas=1, ray_actor_options={"num_cpus": 0.5}, max_ongoing_requests=64
    )
