"""The stream as one Ray Data dataset: shard descriptions mapped over an actor pool.

Each shard is one endless call on one actor. All its effects happen inside the call, none downstream
of what it yields, so when an actor dies Ray makes the call again and the shard resumes from its
checkpoint. The work itself is `streams.shard.Shard`, which knows nothing of Ray.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import ray
import ray.data
from ray.actor import ActorHandle

from ray_apps.home import Home
from reaseq.settings import Settings
from streams.catalogue_handler import CatalogueHandler
from streams.checkpoints import Checkpoints
from streams.codec import event_codec, item_codec
from streams.dead_letters import DeadLetters
from streams.event_archive import EventArchive
from streams.features import Features, warm_up
from streams.kafka_log import KafkaLog
from streams.log import Log, Partition
from streams.sequence_handler import SequenceHandler
from streams.shard import Shard, deal

READY_TIMEOUT_S = 120.0
"""Starting an actor imports Feast and loads compiled loops: seconds; a busy laptop needs more."""

STOP_POLL_S = 0.5

_CPUS_PER_SHARD = 0.5


class StreamControl:
    """What shards and their driver tell each other; a Ray actor."""

    def __init__(self) -> None:
        self._stop = False
        self._pids: dict[int, int] = {}

    def started(self, shard: int, pid: int) -> None:
        """A shard reports that it has restored its state and reads on."""
        self._pids[shard] = pid

    def pids(self) -> dict[int, int]:
        """The process of each shard that has started."""
        return dict(self._pids)

    def stop(self) -> None:
        """Ask all shards to checkpoint and return."""
        self._stop = True

    def should_stop(self) -> bool:
        """Whether to stop."""
        return self._stop


class ShardActor:
    """The shell Ray Data keeps alive: builds the shard it is given and runs it to its end."""

    def __init__(self, settings: Settings, control: ActorHandle) -> None:
        self._settings = settings
        self._control = control

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        (number,) = batch["shard"]
        (topic,) = batch["topic"]
        (indices,) = batch["partitions"]
        partitions = [Partition(str(topic), int(index)) for index in indices]
        with open_shard(self._settings, partitions) as shard:
            warm_up()
            shard.restore()
            ray.get(self._control.started.remote(int(number), os.getpid()))
            shard.run(_Stop(self._control))
        return {"shard": [int(number)]}


class _Stop:
    """Asks the control now and then, so that the stream does not wait for it at every step."""

    def __init__(self, control: ActorHandle) -> None:
        self._control = control
        self._asked_at = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._asked_at < STOP_POLL_S:
            return False
        self._asked_at = now
        return bool(ray.get(self._control.should_stop.remote()))


@contextmanager
def open_shard(settings: Settings, partitions: list[Partition]) -> Iterator[Shard]:
    """The shard for partitions of one topic, on the real log and stores, while inside.

    When a call fails, Ray may make it again in the same process: no connection must stay behind.
    """
    log = KafkaLog(settings.kafka)
    home = Home(settings.home)
    checkpoints = Checkpoints(home.checkpoints)
    features = Features.open(home.features)
    is_events = partitions[0].topic == settings.topics.events
    max_bytes = settings.kafka.max_event_bytes
    with closing(log.reader("reaseq")) as reader, closing(log.writer()) as dead_letters:
        yield Shard(
            partitions=partitions,
            reader=reader,
            codec=event_codec(max_bytes) if is_events else item_codec(max_bytes),
            handler=SequenceHandler(
                features,
                EventArchive(home.events),
                checkpoints,
                settings.stream.max_sequence_events,
            )
            if is_events
            else CatalogueHandler(features),
            dead_letters=DeadLetters(dead_letters, settings.topics.dead_letters),
            checkpoints=checkpoints,
            settings=settings.stream,
        )


class StreamJob:
    """The running stream. Ray must be initialised, the topics and the feature store must exist."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._control = ray.remote(num_cpus=0)(StreamControl).remote()
        self._shards = _describe_shards(settings, log)
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="reaseq-stream", daemon=True
        )
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Return once every shard reads. Raises RuntimeError when one cannot start."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while len(self.pids()) < len(self._shards):
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"only {len(self.pids())} of {len(self._shards)} shards started in "
                    f"{READY_TIMEOUT_S:.0f} s: are there enough CPUs (ray.num_cpus)?"
                )
            time.sleep(0.05)

    def pids(self) -> dict[int, int]:
        """The process of each shard, by its number."""
        return dict(ray.get(self._control.pids.remote()))

    def check(self) -> None:
        """Raise RuntimeError if the stream has ended by an error."""
        if self._error is not None:
            raise RuntimeError(f"the stream ended: {self._error}") from self._error

    def stop(self) -> None:
        """Let every shard checkpoint and end, and wait for it."""
        ray.get(self._control.stop.remote())
        self._thread.join(timeout=READY_TIMEOUT_S)
        ray.kill(self._control)

    def _run(self, settings: Settings) -> None:
        try:
            _dataset(settings, self._shards, self._control).materialize()
        except BaseException as error:  # noqa: BLE001 - handed to whoever calls `check`
            self._error = error


def _dataset(
    settings: Settings, shards: list[dict[str, Any]], control: ActorHandle
) -> ray.data.Dataset:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        ShardActor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=len(shards), max_tasks_in_flight_per_actor=1),
        fn_constructor_kwargs={"settings": settings, "control": control},
        num_cpus=_CPUS_PER_SHARD,
    )


def _describe_shards(settings: Settings, log: Log) -> list[dict[str, Any]]:
    hands = deal(log.partitions(settings.topics.events), settings.stream.num_shards)
    hands.append(log.partitions(settings.topics.items))
    return [
        {"shard": number, "topic": hand[0].topic, "partitions": [p.number for p in hand]}
        for number, hand in enumerate(hands)
    ]
