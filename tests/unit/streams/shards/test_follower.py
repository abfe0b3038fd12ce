"""A follower begins at the end or where it stopped, and passes over what it cannot read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.log.codec import event_codec
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower

PARTITIONS = [Partition("events", 0), Partition("events", 1)]


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic("events", 2)])
    return log


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def follow(log: MemoryLog, checkpoints: Checkpoints) -> Follower:
    return Follower(log.reader("test"), event_codec(1000), checkpoints, PARTITIONS)


def send(log: MemoryLog, partition: Partition, event_id: str) -> None:
    event = {"event_id": event_id, "user_id": "ann", "item_id": "mug", "event_type": "view"}
    log.append(partition, msgspec.json.encode(event | {"event_time_ms": 5}), b"ann", ())


def seen(follower: Follower) -> list[tuple[int, list[str], int]]:
    """What a poll brings: partition, event ids and the next offset."""
    followed = follower.poll(0.0, 100)
    return [(p.number, table["event_id"].to_pylist(), at) for p, table, at in followed]


def test_the_first_time_it_begins_at_the_end(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """What came before is in the features."""
    send(log, PARTITIONS[0], "old")
    follower = follow(log, checkpoints)
    assert seen(follower) == []
    send(log, PARTITIONS[0], "new")
    send(log, PARTITIONS[1], "other")
    assert seen(follower) == [(0, ["new"], 2), (1, ["other"], 1)]


def test_it_goes_on_where_it_was_saved(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """What was polled and not saved comes again."""
    follower = follow(log, checkpoints)
    follower.save()
    send(log, PARTITIONS[0], "e1")
    assert seen(follower) == [(0, ["e1"], 1)]
    follower.save()
    send(log, PARTITIONS[0], "e2")
    assert seen(follower) == [(0, ["e2"], 2)]
    follower.close()
    assert seen(follow(log, checkpoints)) == [(0, ["e2"], 2)]


def test_bad_records_are_passed_over(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """The shards set them aside; the position moves on all the same."""
    follower = follow(log, checkpoints)
    log.append(PARTITIONS[0], b"not json", None, ())
    send(log, PARTITIONS[0], "good")
    log.append(PARTITIONS[1], None, None, ())
    assert seen(follower) == [(0, ["good"], 2), (1, [], 1)]


def test_nothing_is_written_for_a_position_that_did_not_move(
    log: MemoryLog, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """An idle topic costs no disk."""
    follower = follow(log, checkpoints)
    follower.save()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    follower.save()
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")} == before
    assert len(before) == 2
