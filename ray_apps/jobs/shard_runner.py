"""Runs one shard from its restored state to its end, and what shards and their driver say."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple, Protocol

from ray_apps.runtime.periodic import Backoff
from reaseq.errors import UnavailableError
from streams.log.ports import Partition

logger = logging.getLogger(__name__)

STOP_POLL_S = 0.5

FIRST_WAIT_S, MAX_WAIT_S = 0.5, 15.0
"""Between two tries while the log or the store is away; the second bounds the delay after."""


class RunnableShard(Protocol):
    """The part of `streams.shards.shard.Shard` that running one needs."""

    def restore(self) -> None:
        """Load every partition's checkpoint and read on from there."""

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Follow the log until stopped, then checkpoint once more."""

    def close(self) -> None:
        """Let the connections go."""


class Control(Protocol):
    """The driver as a shard sees it; every call may go over the network."""

    def started(self, shard: int, pid: int) -> None:
        """A shard has restored its state and reads on."""

    def interrupted(self, shard: int, reason: str) -> bool:
        """A shard cannot go on for now; returns whether it had ever started."""

    def should_stop(self) -> bool:
        """Whether to checkpoint and return."""


class StreamControl:
    """How shards and their driver talk to each other; a Ray actor in production."""

    def __init__(self) -> None:
        self._stop = False
        self._pids: dict[int, int] = {}
        self._interruptions: dict[int, str] = {}

    def started(self, shard: int, pid: int) -> None:
        """A shard reports that it has restored its state and reads on."""
        self._pids[shard] = pid
        self._interruptions.pop(shard, None)

    def interrupted(self, shard: int, reason: str) -> bool:
        """A shard reports what it waits for; returns whether it had ever started."""
        self._interruptions[shard] = reason
        return shard in self._pids

    def interruptions(self) -> dict[int, str]:
        """What each shard waits for that cannot go on at the moment."""
        return dict(self._interruptions)

    def pids(self) -> dict[int, int]:
        """The process of each shard that has started."""
        return dict(self._pids)

    def stop(self) -> None:
        """Ask all shards to checkpoint and return."""
        self._stop = True

    def should_stop(self) -> bool:
        """Whether to stop."""
        return self._stop


class ShardDescription(NamedTuple):
    """A shard by its number, and the partitions of one topic that are its own."""

    shard: int
    topic: str
    numbers: tuple[int, ...]

    @classmethod
    def of_batch(cls, batch: Mapping[str, Any]) -> ShardDescription:
        """From a batch of one row, as Ray Data gives it."""
        (shard,) = batch["shard"]
        (topic,) = batch["topic"]
        (numbers,) = batch["partitions"]
        return cls(int(shard), str(topic), tuple(int(number) for number in numbers))

    @property
    def partitions(self) -> list[Partition]:
        """Its partitions."""
        return [Partition(self.topic, number) for number in self.numbers]


class ShardRunner:
    """Builds the shard of a description, restores it, reports it and runs it to its end."""

    def __init__(
        self,
        build: Callable[[list[Partition]], RunnableShard],
        control: Control,
        *,
        warm_up: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`warm_up` is called before the shard reads: the first events must not wait for it."""
        self._build = build
        self._control = control
        self._warm_up = warm_up
        self._clock = clock
        self._sleep = sleep

    def run(self, description: ShardDescription) -> None:
        """Return when the driver has asked to stop and the last checkpoint is kept.

        While the log or the store is away, the shard waits for it and goes on from its checkpoint.
        One that never started raises UnavailableError instead: who starts a stream wants to know.
        """
        backoff = Backoff(FIRST_WAIT_S, MAX_WAIT_S)
        while True:
            began_at = self._clock()
            try:
                self._run_once(description)
                return
            except UnavailableError as error:
                if not self._control.interrupted(description.shard, str(error)):
                    raise
                if self._control.should_stop():
                    logger.warning("stopped without a last checkpoint: %s", error)
                    return
                if self._clock() - began_at > MAX_WAIT_S:
                    backoff.reset()
                wait_s = backoff.next_s()
                logger.warning("trying again in %.1f s from the checkpoint: %s", wait_s, error)
                self._sleep(wait_s)

    def _run_once(self, description: ShardDescription) -> None:
        """However the shard ends, it is closed."""
        with closing(self._build(description.partitions)) as shard:
            self._warm_up()
            shard.restore()
            self._control.started(description.shard, os.getpid())
            shard.run(OccasionalStop(self._control, self._clock))


class OccasionalStop:
    """Asks the driver now and then, so that the stream does not wait for it at every step."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._control = control
        self._clock = clock
        self._asked_at = float("-inf")

    def __call__(self) -> bool:
        now = self._clock()
        if now - self._asked_at < STOP_POLL_S:
            return False
        self._asked_at = now
        return self._control.should_stop()
