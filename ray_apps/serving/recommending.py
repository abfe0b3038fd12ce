"""The recommender behind its deployment: holds the champion and follows the stream.

What the champion has not been trained on it learns from the events: first those in the history,
then the topic from where the shards have come to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ray_apps.runtime.in_thread import in_thread
from ray_apps.serving.champion import Champions, ChampionWatcher
from ray_apps.serving.history import EventHistory
from ray_apps.serving.live_recommender import LiveRecommender
from ray_apps.serving.new_items import NewItemWatch
from ray_apps.serving.popular import PopularItems
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import NO_RANKER, Scene, Slate
from reaseq.schemas import EVENT_SCHEMA
from streams.shards.follower import Follower

logger = logging.getLogger("ray.serve")

MAX_EVENTS_AT_ONCE = 5000
"""Bounds how long learning from events keeps a request waiting."""


class RecommenderService:
    """Answers with the champion; with popular items before there is one."""

    def __init__(
        self,
        registry: Champions,
        load: Callable[[Path], Recommender],
        *,
        tail: Follower,
        history: EventHistory,
        new_items: NewItemWatch,
        popular: PopularItems,
    ) -> None:
        """Loads the champion, if there is one. `tail` follows the events."""
        self._load_recommender = load
        self._tail = tail
        self._history = history
        self._new_items = new_items
        self._popular = popular
        self._champions = ChampionWatcher(registry, self._load)
        self._champions.look()

    @property
    def version(self) -> str | None:
        """The champion that answers."""
        return self._champions.version

    async def recommend(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        """The slate for one user.

        `sequence` has one row of SEQUENCE_SCHEMA joined to generated behaviours, or none.
        """
        live = self._champions.model
        if live is None:
            return await asyncio.to_thread(self._popular.slate, scene, k, NO_RANKER)
        return live.recommend(sequence, scene, k)

    async def step(self) -> None:
        """Learn what has happened and look for a new champion.

        Learning stays on the event loop, where the requests are: a recommender is not safe among
        threads.
        """
        if self._champions.model is not None:
            self._champions.model.observe(await in_thread(self._new_events))
        await in_thread(self._champions.look)
        if self._champions.model is not None:
            vectors = await in_thread(self._new_items.look)
            if vectors:
                self._champions.model.recommender.new_items.put(vectors)

    def failed(self, error: Exception) -> None:
        """A step has failed and will be tried again."""
        logger.error("the recommender goes on with what it has", exc_info=error)

    async def close(self) -> None:
        """Let the connections go."""
        await in_thread(self._tail.close)
        await in_thread(self._new_items.close)

    def _load(self, folder: Path) -> LiveRecommender:
        """The model of a folder, up to date with the history; the tail begins after that.

        The tail's start is read before the history: what arrives in between comes twice rather than
        never. What can fail comes first, so that a failure leaves the held model's tail alone.
        """
        recommender = self._load_recommender(folder)
        starts = self._tail.starts()
        live = LiveRecommender(recommender, self._history.read())
        self._new_items.begin(recommender.vocabulary)
        self._tail.reset(starts)
        return live

    def _new_events(self) -> pa.Table:
        followed = self._tail.poll(0.0, MAX_EVENTS_AT_ONCE)
        return pa.concat_tables([EVENT_SCHEMA.empty_table(), *(f.table for f in followed)])
