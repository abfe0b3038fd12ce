"""Generates again for users whose sequence changed enough, beside the stream and never in its way.

Follows the events, waits until the features show what arrived, asks the generator and writes its
answer to the features. A generator that is slow or gone only means that generated behaviours grow
older: the users wait here, and their recommendations go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import pyarrow as pa

from ray_apps.runtime.in_thread import in_thread
from ray_apps.serving.generating import GeneratorAnswer
from reaseq.feature_views import GENERATED
from reaseq.generator.behaviours import generated_rows
from streams.feature_store.ports import FeatureTables
from streams.offline.tables import Commit, new_run
from streams.shards.changed_users import ChangedUsers, Due
from streams.shards.follower import Follower

logger = logging.getLogger("ray.serve")

USERS_AT_ONCE = 64

AskGenerator = Callable[[pa.Table], Awaitable[GeneratorAnswer | None]]
"""Sequences to generated behaviours; None while there is no generator."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class BehaviourRefresher:
    """Keeps generated behaviours as new as `min_new_events` asks for."""

    def __init__(
        self,
        features: FeatureTables,
        events: Follower,
        ask: AskGenerator,
        *,
        min_new_events: int,
        timeout_s: float,
        max_poll_records: int,
        save_interval_s: float,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """`timeout_s` is for one answer of the generator."""
        self._features = features
        self._follower = events
        self._ask = ask
        self._timeout_s = timeout_s
        self._max_poll_records = max_poll_records
        self._save_interval_s = save_interval_s
        self._clock = clock
        self._now_ms = now_ms
        self._changed = ChangedUsers(features, min_new_events)
        self._unsaved: list[pa.Table] = []
        self._run = new_run("stream")
        self._num_saves = 0
        self._saved_at = clock()
        self._num_generated = 0

    @property
    def num_generated(self) -> int:
        """Users generated for so far."""
        return self._num_generated

    @property
    def num_waiting(self) -> int:
        """Users whose new events have not been looked at yet."""
        return len(self._changed)

    async def step(self) -> None:
        """Look at who has changed and generate for those who are due."""
        self._changed.note(await in_thread(self._follower.poll, 0.0, self._max_poll_records))
        while len(self._changed):
            before = len(self._changed)
            due = await in_thread(self._changed.due, USERS_AT_ONCE)
            if due.sequences.num_rows:
                await self._refresh(due)
            if len(self._changed) == before:
                break
        if self._clock() - self._saved_at > self._save_interval_s:
            await in_thread(self._save)

    def failed(self, error: Exception) -> None:
        """A step has failed and will be tried again."""
        logger.warning("generated behaviours wait: %s", error)

    async def close(self) -> None:
        """Save what is done and let the connection go."""
        try:
            await in_thread(self._save)
        finally:
            await in_thread(self._follower.close)

    async def _refresh(self, due: Due) -> None:
        try:
            generated = await asyncio.wait_for(self._ask(due.sequences), self._timeout_s)
        except BaseException:
            self._changed.again(due)
            raise
        if generated is None:  # no generator has been trained yet, so there is nothing to refresh
            return
        rows = generated_rows(
            generated.answer,
            due.sequences,
            model_version=generated.model_version,
            generated_at_ms=self._now_ms(),
            positions=due.positions,
        )
        await in_thread(self._features.write, GENERATED, rows)
        self._unsaved.append(rows)
        self._num_generated += rows.num_rows

    def _save(self) -> None:
        """Write offline what was written online; then the position, if nobody waits before it."""
        if self._unsaved:
            self._num_saves += 1
            commit = Commit(self._run, self._num_saves)
            self._features.append(GENERATED, pa.concat_tables(self._unsaved), commit)
            self._unsaved = []
        if not len(self._changed):
            self._follower.save()
        self._saved_at = self._clock()
