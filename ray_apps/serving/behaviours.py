"""Generates again for users whose sequence changed enough, beside the stream and never in its way.

Follows the event topic, waits until the features show what arrived, asks the generator through its
handle and writes what comes to the features. A generator that is slow or gone only means that
generated behaviours grow older: the users wait here, and their recommendations go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid

import pyarrow as pa
from ray.serve.handle import DeploymentHandle

from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.feature_views import GENERATED
from reaseq.generator.behaviours import generated_rows
from streams.feature_store.features import Features
from streams.log.codec import event_codec
from streams.log.kafka import KafkaLog
from streams.offline.tables import Commit
from streams.shards.changed_users import ChangedUsers, Due
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower

logger = logging.getLogger("ray.serve")

USERS_AT_ONCE = 64
PAUSE_S = 0.5
"""Between two looks: a moment is nothing against how long generated behaviours stay true."""

PAUSE_AFTER_FAILURE_S = 2.0


class BehaviourFollower:
    """One replica follows all partitions."""

    def __init__(self, settings: Settings, generator: DeploymentHandle) -> None:
        home = Home(settings.home)
        self._settings = settings
        self._generator = generator
        self._features = Features.open(home.features)
        log = KafkaLog(settings.kafka)
        self._follower = Follower(
            log.reader("reaseq-behaviours"),
            event_codec(settings.kafka.max_event_bytes),
            Checkpoints(home.checkpoints / "behaviours"),
            log.partitions(settings.topics.events),
        )
        self._changed = ChangedUsers(self._features, settings.generator.min_new_events)
        self._unsaved: list[pa.Table] = []
        self._run = f"stream-{uuid.uuid4().hex}"
        self._num_saves = 0
        self._saved_at = time.monotonic()
        self._num_generated = 0
        self._tasks = [asyncio.get_running_loop().create_task(self._follow())]

    async def model_version(self) -> str | None:
        """None: it has no model of its own."""
        return None

    async def num_generated(self) -> int:
        """Users generated for since this replica started."""
        return self._num_generated

    async def num_waiting(self) -> int:
        """Users whose new events have not been looked at yet."""
        return len(self._changed)

    async def _follow(self) -> None:
        while True:
            try:
                await self._step()
                await asyncio.sleep(PAUSE_S)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next try may work
                logger.warning("generated behaviours wait: %s", error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    async def _step(self) -> None:
        most = self._settings.stream.max_poll_records
        self._changed.note(await asyncio.to_thread(self._follower.poll, 0.0, most))
        while len(self._changed):
            before = len(self._changed)
            due = await asyncio.to_thread(self._changed.due, USERS_AT_ONCE)
            if due.sequences.num_rows:
                await self._generate(due)
            if len(self._changed) == before:
                break
        if time.monotonic() - self._saved_at > self._settings.stream.checkpoint_interval_s:
            await asyncio.to_thread(self._save)

    async def _generate(self, due: Due) -> None:
        try:
            generated = await asyncio.wait_for(
                self._generator.generate.remote(due.sequences), self._settings.generator.timeout_s
            )
        except BaseException:
            self._changed.again(due)
            raise
        if generated is None:  # no generator has been trained yet, so there is nothing to refresh
            return
        rows = generated_rows(
            generated.answer,
            due.sequences,
            model_version=generated.model_version,
            generated_at_ms=time.time_ns() // 1_000_000,
            positions=due.positions,
        )
        await asyncio.to_thread(self._features.write, GENERATED, rows)
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
        self._saved_at = time.monotonic()
