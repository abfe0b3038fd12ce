"""The one ingress: HTTP for people and programs.

It reads features, asks the recommender, logs what it showed. The recommender is a handle away; when
it is slow or gone the answer is popular items, and says so. Language model and behaviour generator
are in no request's path: what they made is read from the features, and what is missing is named.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from fastapi import FastAPI, HTTPException, Query
from ray import serve
from ray.serve.handle import DeploymentHandle

from ray_apps.runtime.home import Home
from ray_apps.serving.api import (
    MAX_EVENTS_PER_REQUEST,
    EventIn,
    EventsAccepted,
    GeneratedItem,
    GeneratedOut,
    Health,
    ItemOut,
    KnowledgeOut,
    Recommendations,
    RecommendedItem,
)
from ray_apps.serving.impressions import ImpressionLog
from ray_apps.serving.popular import PopularItems
from ray_apps.settings import Settings
from reaseq import __version__
from reaseq.feature_views import GENERATED, ITEMS, KNOWLEDGE, POPULARITY, SEQUENCES
from reaseq.recommendation.slate import NO_RANKER, Scene, Slate
from reaseq.schemas import GENERATED_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import with_generated
from streams.feature_store.features import Features
from streams.log.codec import event_codec
from streams.log.kafka import KafkaLog

RECOMMENDER_UNAVAILABLE = "recommender_unavailable"
"""The fallback named when the recommender did not answer in time."""

FEATURES_UNAVAILABLE = "features_unavailable"
"""Missing: the online store did not answer, so the user is treated as unknown."""

GENERATED_UNAVAILABLE = "generated_unavailable"
"""Missing: generated behaviours could not be read."""

PART_TIMEOUT_S = 0.5
"""How long `/healthz` waits for each part; the parts are asked at once."""

logger = logging.getLogger("ray.serve")

api = FastAPI(
    title="reaseq",
    version=__version__,
    description="Recommendations from a stream of events. An event changes the next answer.",
)


@serve.ingress(api)
class Gateway:
    """HTTP ingress; one replica holds one feature-store reader and one log writer."""

    def __init__(
        self,
        settings: Settings,
        recommender: DeploymentHandle,
        others: dict[str, DeploymentHandle],
    ) -> None:
        """`others` are the parts that no request waits for, by the name of their deployment."""
        home = Home(settings.home)
        self._settings = settings
        self._recommender = recommender
        self._others = others
        self._features = Features.open(home.features)
        log = KafkaLog(settings.kafka)
        self._writer = log.writer()
        self._impressions = ImpressionLog(log.writer(), settings.topics.impressions)
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
        max_k = self._settings.recommender.max_k
        if k > max_k:
            raise HTTPException(422, f"k is at most {max_k} (recommender.max_k)")
        sequence, missing = await asyncio.to_thread(self._read_user, user_id)
        slate = await self._slate(sequence, scene, k)
        slate = slate._replace(fallbacks=(*missing, *slate.fallbacks))
        return await asyncio.to_thread(self._present, user_id, sequence, slate)

    @api.get("/v1/users/{user_id}/generated", response_model=GeneratedOut)
    async def generated(self, user_id: str) -> GeneratedOut:
        """What the behaviour generator infers beyond the log, with what it rests on."""
        found = (await asyncio.to_thread(self._features.read, GENERATED, [user_id])).to_pylist()
        if not found:
            raise HTTPException(404, f"nothing was generated for user {user_id} yet")
        row = found[0]
        titles = await asyncio.to_thread(self._titles, row["item_ids"])
        items = [
            GeneratedItem(item_id=item_id, title=titles.get(item_id), probability=probability)
            for item_id, probability in zip(row["item_ids"], row["probabilities"], strict=True)
        ]
        kept = {name: row[name] for name in GeneratedOut.model_fields if name in row}
        return GeneratedOut(**kept, items=items)

    @api.get("/v1/items/{item_id}/knowledge", response_model=KnowledgeOut)
    async def knowledge(self, item_id: str) -> KnowledgeOut:
        """What an agent found out about an item, with provenance and verdict."""
        found = (await asyncio.to_thread(self._features.read, KNOWLEDGE, [item_id])).to_pylist()
        if not found:
            raise HTTPException(404, f"nothing has been found out about item {item_id} yet")
        return KnowledgeOut(**found[0])

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
        found = (await asyncio.to_thread(self._features.read, ITEMS, [item_id])).to_pylist()
        if not found:
            raise HTTPException(404, f"no item {item_id} in the catalogue")
        sold = (await asyncio.to_thread(self._features.read, POPULARITY, [item_id])).to_pylist()
        numbers = sold[0] if sold else {"num_purchases": None, "num_buyers": None}
        return ItemOut(**{name: {**found[0], **numbers}[name] for name in ItemOut.model_fields})

    @api.get("/healthz", response_model=Health)
    async def health(self) -> Health:
        """200 while requests can be answered, whatever part is missing."""
        parts = {"recommender": self._recommender, **self._others}
        answers = await asyncio.gather(*(self._version_of(part) for part in parts.values()))
        versions = dict(zip(parts, answers, strict=True))
        fallbacks = [f"{name}_unavailable" for name, answer in versions.items() if answer is None]
        if versions["recommender"] == "":
            fallbacks.append(NO_RANKER)
        return Health(
            status="ok",
            model_version=versions["recommender"] or None,
            generator_version=versions["generator"] or None,
            knowledge_model=versions.get("knowledge") or None,
            fallbacks=fallbacks,
        )

    async def _version_of(self, part: DeploymentHandle) -> str | None:
        """The model of a part, empty where it has none yet; None when the part does not answer."""
        try:
            return await asyncio.wait_for(part.model_version.remote(), PART_TIMEOUT_S) or ""
        except Exception:  # noqa: BLE001 - whatever it was, the gateway itself still answers
            return None

    def _read_user(self, user_id: str) -> tuple[pa.Table, tuple[str, ...]]:
        """The user's row, generated behaviours beside it, and what could not be read."""
        try:
            sequence = self._features.read(SEQUENCES, [user_id])
        except Exception:
            logger.exception("the features cannot be read: recommending without")
            nobody = with_generated(SEQUENCE_SCHEMA.empty_table(), GENERATED_SCHEMA.empty_table())
            return nobody, (FEATURES_UNAVAILABLE,)
        try:
            return with_generated(sequence, self._features.read(GENERATED, [user_id])), ()
        except Exception:  # noqa: BLE001 - a recommendation never fails because a part did
            nothing = with_generated(sequence, GENERATED_SCHEMA.empty_table())
            return nothing, (GENERATED_UNAVAILABLE,)

    def _described(self, item_ids: list[str]) -> dict[str, dict[str, Any]]:
        """The catalogue's rows of these items; none where it does not answer."""
        try:
            rows = self._features.read(ITEMS, item_ids).to_pylist()
        except Exception:
            logger.exception("the catalogue cannot be read: answering without titles")
            return {}
        return {row["item_id"]: row for row in rows}

    def _titles(self, item_ids: list[str]) -> dict[str, str]:
        return {i["item_id"]: i["title"] for i in self._features.read(ITEMS, item_ids).to_pylist()}

    async def _slate(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        try:
            answer = self._recommender.recommend.remote(sequence, scene, k)
            return await asyncio.wait_for(answer, self._settings.serve.recommender_timeout_s)
        except Exception:  # noqa: BLE001 - a recommendation never fails because a part did
            return self._popular.slate(scene, k, RECOMMENDER_UNAVAILABLE)

    def _present(self, user_id: str, sequence: pa.Table, slate: Slate) -> Recommendations:
        known = self._described([item.item_id for item in slate.items])
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
        self._impressions.put(msgspec.json.encode(impression), shown.user_id.encode())

    def _append(self, events: list[EventIn]) -> None:
        for event in events:
            try:
                value = self._codec.encode(event.to_event())
                self._writer.send(self._settings.topics.events, value, event.user_id.encode())
            except ValueError as error:
                raise HTTPException(413, str(error)) from None
        self._writer.flush()
