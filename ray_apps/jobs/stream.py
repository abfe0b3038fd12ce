"""The stream as one Ray Data dataset: shard descriptions mapped over an actor pool.

Each shard is one endless call on one actor. All its effects happen inside the call, none downstream
of what it yields, so when an actor dies Ray makes the call again and the shard resumes from its
checkpoint. The work itself is `streams.shards.shard.Shard`, which knows nothing of Ray.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import ray
import ray.data
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_apps.jobs.shard_runner import ShardDescription, ShardRunner, StreamControl
from ray_apps.runtime.feature_store import erased_users, event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from streams.feature_store.features import Features, warm_up
from streams.log.kafka import KafkaLog
from streams.log.ports import Log
from streams.offline.compaction import Compaction
from streams.shards.assignment import assign_shards
from streams.shards.builder import ShardBuilder
from streams.shards.checkpoints import Checkpoints
from streams.shards.topology import HandlerPorts, topology

READY_TIMEOUT_S = 120.0
"""Starting an actor imports Feast and loads compiled loops: seconds; a busy laptop needs more."""

_CPUS_PER_SHARD = 0.5


class ShardActor:
    """The shell Ray Data keeps alive: runs the shard it is given to its end."""

    def __init__(self, settings: Settings, control: ActorHandle[Any]) -> None:
        build = shard_builder(settings).build
        self._runner = ShardRunner(build, RemoteControl(control), warm_up=warm_up)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        description = ShardDescription.of_batch(batch)
        self._runner.run(description)
        return {"shard": [description.shard]}


class RemoteControl:
    """The control actor as a `Control`."""

    def __init__(self, actor: ActorHandle[Any]) -> None:
        self._actor = actor

    def started(self, shard: int, pid: int) -> None:
        """See `Control`."""
        ray.get(self._actor.started.remote(shard, pid))

    def interrupted(self, shard: int, reason: str) -> bool:
        """See `Control`."""
        return bool(ray.get(self._actor.interrupted.remote(shard, reason)))

    def should_stop(self) -> bool:
        """See `Control`."""
        return bool(ray.get(self._actor.should_stop.remote()))


def shard_builder(settings: Settings) -> ShardBuilder:
    """Builds shards on the real log and stores."""
    home = Home(settings.home)
    checkpoints = Checkpoints(home.checkpoints)
    return ShardBuilder(
        topology(settings.topics, settings.stream.num_shards),
        KafkaLog(settings.kafka),
        checkpoints,
        HandlerPorts(
            features=Features.open(home.features),
            archive=event_archive(settings),
            wal=checkpoints,
            settings=settings.stream,
            erased=erased_users(settings),
        ),
        dead_letter_topic=settings.topics.dead_letters,
        max_event_bytes=settings.kafka.max_event_bytes,
        event_times=settings.kafka.event_times,
    )


class StreamJob:
    """The running stream. Ray must be initialised, the topics and the feature store must exist."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._control: Any = _control_beside_us()
        self._shards = _describe_shards(settings, log)
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="reaseq-stream", daemon=True
        )
        self._thread.start()
        # One stream at a time runs on a home, so this is its tables' only compaction.
        home = Home(settings.home)
        features = Features.open(home.features)
        archive = event_archive(settings)
        self._compaction = Compaction([archive.table, *features.tables])

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

    def interruptions(self) -> dict[int, str]:
        """What each shard waits for that cannot go on at the moment."""
        return dict(ray.get(self._control.interruptions.remote()))

    def check(self) -> None:
        """Raise RuntimeError if the stream has ended by an error."""
        if self._error is not None:
            raise RuntimeError(f"the stream ended: {self._error}") from self._error

    def stop(self) -> None:
        """Let every shard checkpoint and end, and wait for it."""
        ray.get(self._control.stop.remote())
        self._thread.join(timeout=READY_TIMEOUT_S)
        self._compaction.stop()
        ray.kill(self._control)

    def _run(self, settings: Settings) -> None:
        try:
            _dataset(settings, self._shards, self._control).materialize()
        except BaseException as error:  # noqa: BLE001 - handed to whoever calls `check`
            self._error = error


def _control_beside_us() -> Any:
    """The control actor, on the driver's own node: the loss of another must not end the stream."""
    beside_us = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    control: Any = ray.remote(num_cpus=0)(StreamControl)
    return control.options(scheduling_strategy=beside_us).remote()


def _dataset(
    settings: Settings, shards: list[dict[str, Any]], control: ActorHandle[Any]
) -> ray.data.Dataset:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # An endless call has no memory to report, and looking costs an idle shard as much as all else.
    context.memory_usage_poll_interval_s = None
    return ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        ShardActor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=len(shards), max_tasks_in_flight_per_actor=1),
        fn_constructor_kwargs={"settings": settings, "control": control},
        num_cpus=_CPUS_PER_SHARD,
    )


def _describe_shards(settings: Settings, log: Log) -> list[dict[str, Any]]:
    assigned = assign_shards(topology(settings.topics, settings.stream.num_shards), log)
    return [
        {"shard": n, "topic": partitions[0].topic, "partitions": [p.number for p in partitions]}
        for n, partitions in enumerate(assigned)
    ]
