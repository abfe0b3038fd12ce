"""What the HTTP routes do, without HTTP: features in, recommender asked, impressions logged.

The recommender is one call away; when it is slow or gone the answer is popular items, and says so.
Language model and behaviour generator are in no request's path: what they made is read from the
features, and what is missing is named.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa

from ray_apps.runtime.in_thread import in_thread
from ray_apps.serving.api import (
    MAX_EVENTS_PER_REQUEST,
    EventIn,
    EventsAccepted,
    GeneratedOut,
    Health,
    ItemOut,
    KnowledgeOut,
    Recommendations,
    RecommendedItem,
)
from ray_apps.serving.health import AskVersion, check_parts
from ray_apps.serving.impressions import ImpressionLog
from ray_apps.serving.lookups import Lookups
from ray_apps.serving.popular import PopularItems
from ray_apps.serving.request_errors import out_of_bounds, too_large
from ray_apps.serving.user_row import UserRow, read_user
from reaseq import __version__
from reaseq.events import Event
from reaseq.recommendation.slate import Scene, Slate
from streams.feature_store.ports import FeatureTables
from streams.log.codec import Codec
from streams.log.ports import LogWriter

RECOMMENDER_UNAVAILABLE = "recommender_unavailable"
"""The fallback named when the recommender did not answer in time."""

AskRecommender = Callable[[pa.Table, Scene, int], Awaitable[Slate]]
"""A user's row, the scene and k to a slate; see `RecommenderService.recommend`."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class EventWriter:
    """Appends events to their topic."""

    def __init__(self, writer: LogWriter, topic: str, codec: Codec[Event]) -> None:
        """Owns the writer and closes it."""
        self._writer = writer
        self._topic = topic
        self._codec = codec

    def append(self, events: Sequence[EventIn]) -> None:
        """Return when the log has them.

        Raises `RequestError`: 422 for a time that is not believed, before any is sent; 413 for an
        event that is too large.
        """
        self._check_times([event.event_time_ms for event in events])
        for event in events:
            try:
                value = self._codec.encode(event.to_event())
                self._writer.send(self._topic, value, event.user_id.encode())
            except ValueError as error:
                raise too_large(str(error)) from None
        self._writer.flush()

    def _check_times(self, times_ms: Sequence[int]) -> None:
        now_ms = _now_ms()
        times = self._codec.times
        latest_ms = times.latest_ms(np.full(len(times_ms), now_ms), now_ms)
        for position in times.refused(np.asarray(times_ms, np.int64), latest_ms):
            reason = times.reason(times_ms[position], int(latest_ms[position]))
            raise out_of_bounds(f"event {position}: {reason}")

    def close(self) -> None:
        """Flush and let the connection go."""
        self._writer.close()


class RequestHandler:
    """One method per route. What cannot be answered as asked raises `RequestError`."""

    def __init__(
        self,
        features: FeatureTables,
        ask_recommender: AskRecommender,
        parts: Mapping[str, AskVersion],
        *,
        events: EventWriter,
        impressions: ImpressionLog,
        popular: PopularItems,
        max_k: int,
        recommender_timeout_s: float,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """`parts` are asked for `health`, by the name of their deployment."""
        self._features = features
        self._lookups = Lookups(features)
        self._ask_recommender = ask_recommender
        self._parts = parts
        self._events = events
        self._impressions = impressions
        self._popular = popular
        self._max_k = max_k
        self._recommender_timeout_s = recommender_timeout_s
        self._now_ms = now_ms

    async def recommend(self, user_id: str, scene: Scene, k: int) -> Recommendations:
        """The `k` best items for a user now."""
        if k > self._max_k:
            raise out_of_bounds(f"k is at most {self._max_k} (recommender.max_k)")
        user = await asyncio.to_thread(read_user, self._features, user_id)
        slate = await self._slate(user.sequence, scene, k)
        slate = slate._replace(fallbacks=(*user.missing, *slate.fallbacks))
        return await asyncio.to_thread(self._present, user_id, user, slate)

    async def generated(self, user_id: str) -> GeneratedOut:
        """What the behaviour generator infers beyond the log, with provenance."""
        return await asyncio.to_thread(self._lookups.generated, user_id)

    async def knowledge(self, item_id: str) -> KnowledgeOut:
        """What an agent says about an item, with provenance and verdict."""
        return await asyncio.to_thread(self._lookups.knowledge, item_id)

    async def item(self, item_id: str) -> ItemOut:
        """What the catalogue knows of an item."""
        return await asyncio.to_thread(self._lookups.item, item_id)

    async def take_events(self, events: Sequence[EventIn]) -> EventsAccepted:
        """Append events to the log."""
        if len(events) > MAX_EVENTS_PER_REQUEST:
            raise out_of_bounds(f"at most {MAX_EVENTS_PER_REQUEST} events in one request")
        await asyncio.to_thread(self._events.append, events)
        return EventsAccepted(event_ids=[event.event_id for event in events])

    async def health(self) -> Health:
        """Answers while requests can be answered, whatever part is missing."""
        return await check_parts(self._parts)

    async def close(self) -> None:
        """Log what waits and let the connections go."""
        await in_thread(self._impressions.close)
        await in_thread(self._events.close)

    async def _slate(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        try:
            answer = self._ask_recommender(sequence, scene, k)
            return await asyncio.wait_for(answer, self._recommender_timeout_s)
        except Exception:  # noqa: BLE001 - a recommendation never fails because a part did
            return self._popular.slate(scene, k, RECOMMENDER_UNAVAILABLE)

    def _present(self, user_id: str, user: UserRow, slate: Slate) -> Recommendations:
        """The answer with titles and prices; logged as an impression."""
        row = user.to_dict()
        shown = Recommendations(
            user_id=user_id,
            scene=slate.scene,
            items=self._items(slate),
            known_user=row is not None,
            model_version=slate.model_version,
            fallbacks=list(slate.fallbacks),
            sequence_events=len(row["item_ids"]) if row else 0,
            newest_event_time_ms=row["newest_event_time_ms"] if row else None,
            impression_id=uuid.uuid4().hex,
        )
        impression = {
            "served_at_ms": self._now_ms(),
            "reaseq_version": __version__,
            "features": row,
            **shown.model_dump(),
        }
        self._impressions.put(msgspec.json.encode(impression), user_id.encode())
        return shown

    def _items(self, slate: Slate) -> list[RecommendedItem]:
        known = self._lookups.described([item.item_id for item in slate.items])
        return [
            RecommendedItem(
                item_id=item.item_id,
                title=known.get(item.item_id, {}).get("title"),
                price=known.get(item.item_id, {}).get("price"),
                score=item.score,
                sources=list(item.sources),
            )
            for item in slate.items
        ]
