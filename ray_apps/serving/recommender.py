"""The recommender as a Serve deployment: holds the champion and follows the stream.

The champion was made from the past; what happened since (which items are in demand, what is bought
together) is learnt from the events themselves: first those in the archive, then the topic's tail.
The clock is event time: the newest event seen says what "now" is, so a replayed year behaves as it
did when it was new.
"""

from __future__ import annotations

import asyncio
import logging

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.registry.kinds import rankers
from ray_apps.runtime.home import Home
from ray_apps.serving.new_items import NewItemWatch
from ray_apps.serving.popular import PopularItems
from ray_apps.settings import Settings
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import NO_RANKER, Scene, Slate
from reaseq.schemas import EVENT_SCHEMA
from streams.log.codec import event_codec
from streams.log.kafka import KafkaLog
from streams.offline.events import EventArchive
from streams.shards.checkpoints import Checkpoints

logger = logging.getLogger("ray.serve")

WATCH_INTERVAL_S = 0.5
"""How often a replica looks for a new champion and for new events."""

MAX_EVENTS_AT_ONCE = 5000
"""Bounds how long learning from events keeps a request waiting."""


class RecommenderReplica:
    """Answers with the champion it holds; a new one is loaded beside it and takes over whole."""

    def __init__(self, settings: Settings) -> None:
        home = Home(settings.home)
        self._settings = settings
        self._models = rankers(settings)
        self._archive = EventArchive(home.events)
        self._checkpoints = Checkpoints(home.checkpoints)
        self._popular = PopularItems(home)
        self._codec = event_codec(settings.kafka.max_event_bytes)
        log = KafkaLog(settings.kafka)
        self._partitions = log.partitions(settings.topics.events)
        self._tail = log.reader("reaseq-recommender")
        self._new_items = NewItemWatch(settings)
        self._champion: Recommender | None = None
        self._version: str | None = None
        self._newest_event_ms = 0
        try:
            self._take_over(self._load_champion())
        except Exception:
            # Popular items until the registry answers; `_follow` tries again.
            logger.exception("the recommender starts without a model")
        self._tasks = [asyncio.get_running_loop().create_task(self._follow())]

    async def recommend(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        """The slate for one user.

        `sequence` has one row of SEQUENCE_SCHEMA with generated behaviours beside it, or none.
        """
        if self._champion is None:
            return await asyncio.to_thread(self._popular.slate, scene, k, NO_RANKER)
        at_ms = max(self._newest_event_ms, pc.max(sequence["newest_event_time_ms"]).as_py() or 0)
        return self._champion.recommend(sequence, scene, k, at_ms + 1)

    async def model_version(self) -> str | None:
        """The champion this replica serves with."""
        return self._version

    async def _follow(self) -> None:
        """Learn what happened, and look for a new champion, for ever."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                self._learn(await asyncio.to_thread(self._new_events))
                self._take_over(await asyncio.to_thread(self._load_champion))
                if self._champion is not None:
                    self._champion.new_items.put(await asyncio.to_thread(self._new_items.look))
            except Exception:
                logger.exception("the recommender goes on with what it has")

    def _load_champion(self) -> tuple[str, Recommender] | None:
        """A champion other than the one held, brought up to date with the archive."""
        version = self._models.champion
        if version is None or version == self._version:
            return None
        recommender = Recommender.load(
            self._models.folder_of(version),
            self._settings.recommender,
            self._settings.pools.ranker.device,
        )
        self._new_items.begin(recommender.vocabulary)
        kept = [(p, self._checkpoints.progress(p)) for p in self._partitions]
        self._tail.assign({p: progress.next_offset if progress else 0 for p, progress in kept})
        events = self._archive.read()
        known_ms = recommender.ranker.manifest.trained_up_to_ms if recommender.ranker else 0
        recommender.observe(events.filter(pc.greater(events["event_time_ms"], known_ms)))
        self._newest_event_ms = pc.max(events["event_time_ms"]).as_py() or 0
        return version, recommender

    def _take_over(self, loaded: tuple[str, Recommender] | None) -> None:
        if loaded:
            self._version, self._champion = loaded

    def _new_events(self) -> pa.Table:
        batches = self._tail.poll(0.0, MAX_EVENTS_AT_ONCE) if self._champion else []
        tables = [self._codec.decode(batch.values).table for batch in batches]
        return pa.concat_tables([EVENT_SCHEMA.empty_table(), *tables])

    def _learn(self, events: pa.Table) -> None:
        if self._champion is None or not events.num_rows:
            return
        self._champion.observe(events)
        newest_ms = pc.max(events["event_time_ms"]).as_py()
        self._newest_event_ms = max(self._newest_event_ms, newest_ms)
