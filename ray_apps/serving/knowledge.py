"""Has an agent find out about items, beside the stream and never in a request's way.

First the best sellers, then every item that arrives on its topic. Knowledge is written to the
features; whoever represents items reads it there. A language model that is loading, slow or gone
only means that items wait here.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import pyarrow as pa

from ray_apps.runtime.in_thread import in_thread
from ray_apps.serving.history import EventHistory
from ray_apps.serving.knowledge_store import FeatureKnowledge
from reaseq.events import Item
from reaseq.feature_views import ITEMS
from reaseq.knowledge.knowledge_base import KnowledgeAgent, KnowledgeBase, KnowledgeStats
from reaseq.knowledge.text_generator import TextGenerationError
from reaseq.sequences.orders import best_sellers
from streams.feature_store.ports import FeatureTables
from streams.shards.follower import Follower

logger = logging.getLogger("ray.serve")

MAX_ITEMS_PER_POLL = 1000


class KnowledgeProgress(NamedTuple):
    """What has been learnt since the start."""

    learned: KnowledgeStats = KnowledgeStats()
    model: str | None = None
    is_idle: bool = True
    """Whether no item waits."""
    trouble: str = ""
    """Why items wait, when they do."""


class KnowledgeWorker:
    """Takes items from the history and the topic to an agent, `max_concurrent` at a time."""

    def __init__(
        self,
        features: FeatureTables,
        items: Follower,
        history: EventHistory,
        agent: KnowledgeAgent,
        *,
        model: str,
        num_best_sellers: int,
        max_concurrent: int,
    ) -> None:
        """`model` is the name of the language model behind the agent."""
        self._features = features
        self._follower = items
        self._history = history
        self._model = model
        self._num_best_sellers = num_best_sellers
        self._max_concurrent = max_concurrent
        self._store = FeatureKnowledge(features)
        self._base = KnowledgeBase(self._store, agent, max_concurrent=max_concurrent)
        self._waiting: dict[str, Item] = {}
        self._has_begun = False
        self._learned = KnowledgeStats()
        self._trouble = ""

    @property
    def model(self) -> str:
        """The language model whose knowledge this is."""
        return self._model

    def progress(self) -> KnowledgeProgress:
        """How far the agent is."""
        is_idle = self._has_begun and not self._waiting
        return KnowledgeProgress(self._learned, self._model, is_idle, self._trouble)

    async def step(self) -> None:
        """Take in what has arrived and work some of the items that wait.

        Raises TextGenerationError when the agent failed on any: they wait, and so should it.
        """
        if not self._has_begun:
            self._wait_for(await in_thread(self._best_sellers))
            self._has_begun = True
        for followed in await in_thread(self._follower.poll, 0.0, MAX_ITEMS_PER_POLL):
            self._wait_for(followed.table)
        if self._waiting:
            await self._work()
        if not self._waiting:
            await in_thread(self._follower.save)
        self._trouble = ""

    def failed(self, error: Exception) -> None:
        """A step has failed and will be tried again."""
        self._trouble = str(error)
        if not isinstance(error, TextGenerationError):
            logger.error("item knowledge waits", exc_info=error)

    async def close(self) -> None:
        """Write offline what is done and let the connection go."""
        try:
            await in_thread(self._store.flush)
        finally:
            await in_thread(self._follower.close)

    async def _work(self) -> None:
        """Work as many items as go together; those that failed wait again."""
        items = [self._waiting[item_id] for item_id in list(self._waiting)[: self._max_concurrent]]
        learned = await self._base.learn(items)
        await in_thread(self._store.flush)
        for item in items:
            # An item whose description changed meanwhile waits on, with its new one.
            if item.item_id not in learned.failed and self._waiting.get(item.item_id) is item:
                del self._waiting[item.item_id]
        self._learned = self._learned.plus(learned)
        if learned.failed:
            raise TextGenerationError(learned.failure)

    def _wait_for(self, items: pa.Table) -> None:
        for row in items.to_pylist():
            self._waiting[row["item_id"]] = Item(**row)

    def _best_sellers(self) -> pa.Table:
        """The descriptions of the most purchased items, the best first."""
        best = best_sellers(self._history.read(), self._num_best_sellers)
        return self._features.read(ITEMS, [item.item_id for item in best])
