"""Has agents find out about items, beside the stream and never in a request's way.

First the best sellers, then every item that arrives on its topic. What comes is written to the
features; whoever represents items reads it there. A language model that is loading, slow or gone
only means that items wait here.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from ray.serve.handle import DeploymentHandle

from ray_apps.runtime.home import Home
from ray_apps.serving.llm import LlmHandle
from ray_apps.settings import Settings
from ray_apps.text_generation.choose import available
from reaseq.events import EventType, Item
from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.knowledge.knowledge_base import KnowledgeAgent, KnowledgeBase, KnowledgeStats
from reaseq.knowledge.product_agent import ProductAgent
from reaseq.knowledge.recorded import RecordedAgent
from reaseq.knowledge.text_generator import TextGenerationError
from streams.feature_store.features import Features
from streams.log.codec import item_codec
from streams.log.kafka import KafkaLog
from streams.offline.events import EventArchive
from streams.offline.tables import Commit
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower

logger = logging.getLogger("ray.serve")

PAUSE_S = 0.5
PAUSE_AFTER_FAILURE_S = 2.0


class KnowledgeProgress(NamedTuple):
    """What has been found out since the replica started."""

    learned: KnowledgeStats = KnowledgeStats()
    model: str | None = None
    is_idle: bool = True
    """Whether no item waits."""
    trouble: str = ""
    """Why items wait, when they do."""


class KnowledgeFollower:
    """One replica follows the item topic."""

    def __init__(self, settings: Settings, llm: DeploymentHandle | None) -> None:
        home = Home(settings.home)
        self._settings = settings
        self._archive = EventArchive(home.events)
        self._store = FeatureKnowledge(Features.open(home.features))
        choice = available(settings.knowledge)
        agent: KnowledgeAgent = RecordedAgent()
        if llm is not None:
            handle = LlmHandle(llm, choice.model, settings.knowledge.timeout_s)
            agent = ProductAgent(handle)
        self._model = choice.model
        most = settings.knowledge.max_concurrent
        self._base = KnowledgeBase(self._store, agent, max_concurrent=most)
        log = KafkaLog(settings.kafka)
        self._follower = Follower(
            log.reader("reaseq-knowledge"),
            item_codec(settings.kafka.max_event_bytes),
            Checkpoints(home.checkpoints / "knowledge"),
            log.partitions(settings.topics.items),
        )
        self._waiting: dict[str, Item] = {}
        self._begun = False
        self._done = KnowledgeStats()
        self._trouble = ""
        self._tasks = [asyncio.get_running_loop().create_task(self._follow())]

    async def progress(self) -> KnowledgeProgress:
        """How far the agents are."""
        is_idle = self._begun and not self._waiting
        return KnowledgeProgress(self._done, self._model, is_idle, self._trouble)

    async def model_version(self) -> str | None:
        """The language model whose knowledge this is."""
        return self._model

    async def _follow(self) -> None:
        while True:
            try:
                await self._step()
                self._trouble = ""
                await asyncio.sleep(PAUSE_S)
            except TextGenerationError as error:
                self._trouble = str(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            except Exception as error:
                logger.exception("item knowledge waits")
                self._trouble = str(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    async def _step(self) -> None:
        if not self._begun:
            self._wait_for(await asyncio.to_thread(self._best_sellers))
            self._begun = True
        for followed in await asyncio.to_thread(self._follower.poll, 0.0, 1000):
            self._wait_for(followed.table)
        if self._waiting:
            await self._work()
        if not self._waiting:
            await asyncio.to_thread(self._follower.save)

    async def _work(self) -> None:
        """Work as many items as go together; those that failed wait again."""
        most = self._settings.knowledge.max_concurrent
        items = [self._waiting[item_id] for item_id in list(self._waiting)[:most]]
        learned = await self._base.learn(items)
        await asyncio.to_thread(self._store.flush)
        for item in items:
            # An item whose description changed meanwhile waits on, with its new one.
            if item.item_id not in learned.failed and self._waiting.get(item.item_id) is item:
                del self._waiting[item.item_id]
        self._done = self._done.plus(learned)
        if learned.failed:
            raise TextGenerationError(learned.failure)

    def _wait_for(self, items: pa.Table) -> None:
        for row in items.to_pylist():
            self._waiting[row["item_id"]] = Item(**row)

    def _best_sellers(self) -> pa.Table:
        """The descriptions of the most purchased items, the best first."""
        events = self._archive.read()
        bought = events.filter(pc.equal(events["event_type"], EventType.PURCHASE.value))
        counts = bought["item_id"].value_counts().to_pylist()
        best = sorted(counts, key=lambda row: (-row["counts"], row["values"]))
        num = self._settings.knowledge.num_best_sellers
        return self._store.features.read(ITEMS, [row["values"] for row in best[:num]])


class FeatureKnowledge:
    """The features as a knowledge store: online at once, offline when told to."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._unsaved: list[pa.Table] = []
        self._run = f"agents-{uuid.uuid4().hex}"
        self._num_flushes = 0

    def read(self, item_ids: list[str]) -> pa.Table:
        """What is known of these items (KNOWLEDGE_SCHEMA)."""
        return self.features.read(KNOWLEDGE, item_ids)

    def write(self, rows: pa.Table) -> None:
        """Make knowledge readable."""
        self.features.write(KNOWLEDGE, rows)
        self._unsaved.append(rows)

    def flush(self) -> None:
        """Write offline what was written since the last time."""
        if self._unsaved:
            self._num_flushes += 1
            commit = Commit(self._run, self._num_flushes)
            self.features.append(KNOWLEDGE, pa.concat_tables(self._unsaved), commit)
            self._unsaved = []
