"""`ray_apps.jobs.shard_runner`."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from ray_apps.jobs.shard_runner import (
    MAX_WAIT_S,
    STOP_POLL_S,
    OccasionalStop,
    ShardDescription,
    ShardRunner,
    StreamControl,
)
from reaseq.errors import UnavailableError
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
    """A defect reaches Ray; the connections do not pile up."""
    control, clock = StreamControl(), Clock()
    shard = FakeShard(control, clock)

    def fail(should_stop: Callable[[], bool]) -> None:
        raise RuntimeError("a defect")

    shard.run = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a defect"):
        ShardRunner(lambda partitions: shard, control, clock=clock).run(DESCRIPTION)
    assert shard.happened == ["restored", "closed"]


def test_a_shard_that_never_started_says_why() -> None:
    """Whoever starts a stream without its store wants to know at once."""
    control = StreamControl()

    def build(partitions: list[Partition]) -> FakeShard:
        raise UnavailableError("the store is away")

    with pytest.raises(UnavailableError, match="the store is away"):
        ShardRunner(build, control).run(DESCRIPTION)


class Outage:
    """Shards that fail so many times in a row, when built and while they run."""

    def __init__(self, control: StreamControl, times: int) -> None:
        self.built: list[OneOfMany] = []
        self.waits: list[float] = []
        self.clock = Clock()
        self._control = control
        self._times = times

    def build(self, partitions: list[Partition]) -> OneOfMany:
        if self.built and self._times % 2:
            self._times -= 1
            raise UnavailableError("the store is away")
        self.built.append(OneOfMany(self))
        return self.built[-1]

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        assert self._control.interruptions() == {3: "the store is away"}

    def run(self) -> None:
        assert self._control.interruptions() == {}
        if self._times:
            self._times -= 1
            raise UnavailableError("the store is away")


class OneOfMany:
    def __init__(self, outage: Outage) -> None:
        self.happened: list[str] = []
        self._outage = outage

    def restore(self) -> None:
        self.happened.append("restored")

    def run(self, should_stop: Callable[[], bool]) -> None:
        self._outage.run()
        self.happened.append("ran")

    def close(self) -> None:
        self.happened.append("closed")


def test_a_shard_waits_for_what_is_away_and_goes_on_from_its_checkpoint() -> None:
    """Each try is a new shard, restored; nothing of one that failed is used again."""
    control = StreamControl()
    outage = Outage(control, times=4)
    ShardRunner(outage.build, control, clock=outage.clock, sleep=outage.sleep).run(DESCRIPTION)
    assert [shard.happened for shard in outage.built] == [
        ["restored", "closed"],
        ["restored", "closed"],
        ["restored", "ran", "closed"],
    ]
    assert len(outage.waits) == 4
    assert max(outage.waits) <= MAX_WAIT_S


def test_a_shard_that_waits_can_be_stopped() -> None:
    """It ends without a last checkpoint: what it did since the one before is done again."""
    control = StreamControl()
    outage = Outage(control, times=2)

    def fail() -> None:
        control.stop()
        raise UnavailableError("the store is away")

    outage.run = fail  # type: ignore[method-assign]
    ShardRunner(outage.build, control, clock=outage.clock, sleep=outage.sleep).run(DESCRIPTION)
    assert [shard.happened for shard in outage.built] == [["restored", "closed"]]
    assert outage.waits == []


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
