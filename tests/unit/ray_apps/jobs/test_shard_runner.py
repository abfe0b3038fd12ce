"""`ray_apps.jobs.shard_runner`."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from ray_apps.jobs.shard_runner import (
    STOP_POLL_S,
    OccasionalStop,
    ShardDescription,
    ShardRunner,
    StreamControl,
)
from streams.log.ports import Partition


class FakeShard:
    """Remembers what is done to it and steps until it is told to stop."""

    def __init__(self, control: StreamControl, clock: Clock) -> None:
        self.happened: list[str] = []
        self._control = control
        self._clock = clock

    def restore(self) -> None:
        assert self._control.pids() == {}
        self.happened.append("restored")

    def run(self, should_stop: Callable[[], bool]) -> None:
        assert self._control.pids() == {3: os.getpid()}
        while not should_stop():
            self.happened.append("step")
            self._clock.now += STOP_POLL_S
            if self.happened.count("step") == 2:
                self._control.stop()
        self.happened.append("checkpointed")

    def close(self) -> None:
        self.happened.append("closed")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class CountingControl(StreamControl):
    """Counts how often it is asked."""

    num_asked = 0

    def should_stop(self) -> bool:
        self.num_asked += 1
        return super().should_stop()


DESCRIPTION = ShardDescription(3, "events", (1, 5))


def test_a_batch_of_ray_data_describes_a_shard() -> None:
    """Arrays of one row become plain numbers and names."""
    batch = {
        "shard": np.array([3]),
        "topic": np.array(["events"]),
        "partitions": np.array([[1, 5]]),
    }
    assert ShardDescription.of_batch(batch) == DESCRIPTION
    assert DESCRIPTION.partitions == [Partition("events", 1), Partition("events", 5)]


def test_a_shard_is_restored_reported_and_run_to_its_end() -> None:
    """In this order, warmed up before it reads."""
    control, clock, built = StreamControl(), Clock(), []
    shard = FakeShard(control, clock)

    def build(partitions: list[Partition]) -> FakeShard:
        built.append(partitions)
        return shard

    warm_up = lambda: shard.happened.append("warm")  # noqa: E731 - one expression
    ShardRunner(build, control, warm_up=warm_up, clock=clock).run(DESCRIPTION)
    assert built == [DESCRIPTION.partitions]
    assert shard.happened == ["warm", "restored", "step", "step", "checkpointed", "closed"]


def test_a_shard_that_fails_is_closed_too() -> None:
    """The error reaches Ray, which starts another call; the connections do not pile up."""
    control, clock = StreamControl(), Clock()
    shard = FakeShard(control, clock)

    def refuse(should_stop: Callable[[], bool]) -> None:
        raise ConnectionError("the store is gone")

    shard.run = refuse  # type: ignore[method-assign]
    with pytest.raises(ConnectionError, match="the store is gone"):
        ShardRunner(lambda partitions: shard, control, clock=clock).run(DESCRIPTION)
    assert shard.happened == ["restored", "closed"]


def test_the_driver_is_asked_now_and_then() -> None:
    """At first, then once per interval, however often the stream steps."""
    control, clock = CountingControl(), Clock()
    should_stop = OccasionalStop(control, clock)
    for _ in range(100):
        assert not should_stop()
    assert control.num_asked == 1
    control.stop()
    assert not should_stop()
    clock.now += STOP_POLL_S
    assert should_stop()
    assert control.num_asked == 2
