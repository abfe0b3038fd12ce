"""Asks an agent about items, each content once.

What is stored under the same key (item content, prompt version, model) is not asked again, neither
is what was rejected. What fails is not stored, so that it is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import pyarrow as pa

from reaseq.events import Item
from reaseq.knowledge.item_knowledge import (
    ItemKnowledge,
    KnowledgeKey,
    knowledge_of,
    knowledge_table,
)
from reaseq.knowledge.text_generator import TextGenerationError
from reaseq.schemas import KNOWLEDGE_SCHEMA


class KnowledgeAgent(Protocol):
    """Finds out about an item: `ProductAgent` by a model, `RecordedAgent` from the record."""

    def key(self, item: Item) -> KnowledgeKey | None:
        """The key of its answer; None when it has none for this item."""

    async def run(self, item: Item) -> ItemKnowledge:
        """Find out. Raises TextGenerationError when that cannot be done now."""


class KnowledgeStore(Protocol):
    """Where knowledge is kept; called from a thread, one call at a time."""

    def read(self, item_ids: list[str]) -> pa.Table:
        """The newest knowledge of those of the items that have any (KNOWLEDGE_SCHEMA)."""

    def write(self, rows: pa.Table) -> object:
        """Keep knowledge (KNOWLEDGE_SCHEMA), one row an item."""


class MemoryKnowledgeStore:
    """A fake: keeps the newest row of each item, and every row it was ever given in `written`."""

    def __init__(self) -> None:
        self.written: list[ItemKnowledge] = []
        self._newest: dict[str, ItemKnowledge] = {}

    def read(self, item_ids: list[str]) -> pa.Table:
        found = [self._newest[item_id] for item_id in item_ids if item_id in self._newest]
        return knowledge_table(found)

    def write(self, rows: pa.Table) -> None:
        assert rows.schema == KNOWLEDGE_SCHEMA
        for one in knowledge_of(rows):
            self.written.append(one)
            self._newest[one.item_id] = one


class KnowledgeStats(NamedTuple):
    """What came of one call to `KnowledgeBase.learn`.

    Of `num_items` different items, `num_known` were known under the same key and the agent had
    nothing to say on `num_unanswerable`; the others were asked: accepted, rejected or failed.
    """

    num_items: int = 0
    num_known: int = 0
    num_unanswerable: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    num_valid_json: int = 0
    """Of accepted and rejected: JSON of the right shape."""
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    duration_s: float = 0.0
    """On the clock, from the first question to the last answer."""
    failed: tuple[str, ...] = ()
    """Ids of the items to try again."""
    failure: str | None = None
    """Why the last of them failed."""

    @property
    def num_asked(self) -> int:
        """Items the agent was asked about."""
        return self.num_accepted + self.num_rejected + len(self.failed)

    @property
    def num_done(self) -> int:
        """Items that need no more work now, those that failed included."""
        return self.num_known + self.num_unanswerable + self.num_asked

    def plus(self, other: KnowledgeStats) -> KnowledgeStats:
        """Both together; the failure is the later one's."""
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in self._fields
            if name != "failure"
        }
        return KnowledgeStats(**sums, failure=other.failure or self.failure)


Progress = Callable[[KnowledgeStats], None]
"""Called whenever an item is done, with what was done so far."""


class KnowledgeBase:
    """An agent, a store, and which items are still to be asked about."""

    def __init__(
        self, store: KnowledgeStore, agent: KnowledgeAgent, *, max_concurrent: int = 16
    ) -> None:
        """At most `max_concurrent` items are in work at once."""
        self._store = store
        self._agent = agent
        self._max_concurrent = max_concurrent
        self._store_lock = asyncio.Lock()

    async def learn(
        self, items: Iterable[Item], on_progress: Progress | None = None
    ) -> KnowledgeStats:
        """Find out about the items that are not known yet and store each answer as it comes.

        Of an item given twice the last description counts. An item that fails is counted and left
        for another time; an error of the store is raised when the other items are done.
        """
        started = time.monotonic()
        wanted = {item.item_id: item for item in items}
        tally = _Tally(KnowledgeStats(num_items=len(wanted)), started, on_progress)
        remaining = iter(await self._unknown(wanted, tally))
        workers = [self._work(remaining, tally) for _ in range(self._max_concurrent)]
        outcomes = await asyncio.gather(*workers, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return tally.learned

    async def _unknown(self, wanted: dict[str, Item], tally: _Tally) -> list[Item]:
        async with self._store_lock:
            stored = await asyncio.to_thread(self._store.read, list(wanted))
        kept = {one.item_id: one.key for one in knowledge_of(stored)}
        unknown = []
        for item in wanted.values():
            key = self._agent.key(item)
            if key is None:
                tally.add(KnowledgeStats(num_unanswerable=1))
            elif kept.get(item.item_id) == key:
                tally.add(KnowledgeStats(num_known=1))
            else:
                unknown.append(item)
        return unknown

    async def _work(self, remaining: Iterator[Item], tally: _Tally) -> None:
        for item in remaining:
            try:
                found = await self._agent.run(item)
            except TextGenerationError as error:
                tally.add(KnowledgeStats(failed=(item.item_id,), failure=str(error)))
                continue
            async with self._store_lock:
                await asyncio.to_thread(self._store.write, knowledge_table([found]))
            tally.add(_counts(found))


class _Tally:
    """Adds up what was done and tells it."""

    def __init__(
        self, learned: KnowledgeStats, started: float, on_progress: Progress | None
    ) -> None:
        self.learned = learned
        self._started = started
        self._on_progress = on_progress

    def add(self, more: KnowledgeStats) -> None:
        took_s = time.monotonic() - self._started
        self.learned = self.learned.plus(more)._replace(duration_s=took_s)
        if self._on_progress:
            self._on_progress(self.learned)


def _counts(found: ItemKnowledge) -> KnowledgeStats:
    return KnowledgeStats(
        num_accepted=int(found.is_accepted),
        num_rejected=int(not found.is_accepted),
        num_valid_json=int(found.has_answers),
        num_prompt_tokens=found.num_prompt_tokens,
        num_tokens=found.num_tokens,
    )
