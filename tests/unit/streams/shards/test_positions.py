"""A user's position is that of the partition in which the producer put the user's events."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress
from streams.shards.positions import Position, Positions

USERS = ["ann", "bob", "17850", "größe", "x" * 300]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def test_each_user_has_the_position_of_the_partition_with_its_events(
    checkpoints: Checkpoints,
) -> None:
    """Looked up by the key that the events were sent with."""
    log = MemoryLog()
    log.create_topics([Topic("events", 3)])
    for user_id in USERS:
        log.writer().send("events", b"x", user_id.encode())
    partitions = log.partitions("events")
    for partition in partitions:
        progress = Progress(next_offset=100 + partition.number)
        checkpoints.save(partition, Checkpoint(progress, {}))
    found = Positions(checkpoints, "events", 3).of(USERS)
    for user_id, position in zip(USERS, found, strict=True):
        records = log.read(Partition("events", position.partition), 0, 100)
        assert user_id.encode() in [record.key for record in records]
        assert position.next_offset == 100 + position.partition


def test_a_partition_without_a_checkpoint_has_taken_in_nothing(checkpoints: Checkpoints) -> None:
    """Before the first checkpoint a sequence may hold anything from the log, and claims none."""
    found = Positions(checkpoints, "events", 1).of(["ann", "bob"])
    assert found == [Position(0, 0)] * 2


def test_positions_are_those_of_the_moment_they_were_read(checkpoints: Checkpoints) -> None:
    """What the shard does afterwards does not change what a row says it is based on."""
    partition = Partition("events", 0)
    checkpoints.save(partition, Checkpoint(Progress(next_offset=5), {}))
    positions = Positions(checkpoints, "events", 1)
    checkpoints.save(partition, Checkpoint(Progress(next_offset=9), {}))
    assert positions.of(["ann"]) == [Position(0, 5)]
