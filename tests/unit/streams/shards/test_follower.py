"""`streams.shards.follower` on a log in memory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.erasure.erased_users import ErasedUsersTable
from streams.log.codec import event_codec, item_codec
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress
from streams.shards.follower import Follower, Start, after_shards, at, from_now, resume

P0, P1 = Partition("items", 0), Partition("items", 1)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic("items", 2)])
    return log


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def send(log: MemoryLog, partition: Partition, *item_ids: str) -> None:
    for item_id in item_ids:
        value = b'{"item_id": "%b", "title": "t", "event_time_ms": 1}' % item_id.encode()
        log.append(partition, value, None, ())


def follower(log: MemoryLog, start: Start, checkpoints: Checkpoints | None = None) -> Follower:
    return Follower(log.reader("test"), item_codec(1000), [P0, P1], start, checkpoints)


def seen(follower: Follower) -> list[str]:
    return [i for f in follower.poll(0.0, 100) for i in f.table["item_id"].to_pylist()]


def test_from_now_on_it_sees_what_comes_next(log: MemoryLog) -> None:
    """With its partition, and the offset that follows it."""
    send(log, P0, "before")
    following = follower(log, from_now)
    send(log, P0, "a", "b")
    send(log, P1, "c")
    polled = following.poll(0.0, 100)
    assert [(f.partition, f.next_offset) for f in polled] == [(P0, 3), (P1, 1)]
    assert [f.table["item_id"].to_pylist() for f in polled] == [["a", "b"], ["c"]]
    assert following.poll(0.0, 100) == []


def test_bad_records_are_passed_over(log: MemoryLog) -> None:
    """They are the shards' to set aside; the position moves beyond them."""
    following = follower(log, from_now)
    log.append(P0, b"no JSON", None, ())
    send(log, P0, "good")
    (polled,) = following.poll(0.0, 100)
    assert (polled.table["item_id"].to_pylist(), polled.next_offset) == (["good"], 2)


def test_after_the_shards_it_begins_where_they_have_come_to(
    log: MemoryLog, checkpoints: Checkpoints
) -> None:
    """From the first record in a partition that they have not begun."""
    send(log, P0, "applied", "a")
    send(log, P1, "b")
    checkpoints.save(P0, Checkpoint(Progress(next_offset=1), {}))
    assert seen(follower(log, after_shards(checkpoints))) == ["a", "b"]


def test_it_goes_on_from_what_it_saved(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """What was polled after that comes again; the first time nothing old comes."""
    send(log, P0, "before")
    first = follower(log, resume(checkpoints), checkpoints)
    send(log, P0, "a")
    assert seen(first) == ["a"]
    first.save()
    send(log, P0, "b")
    assert seen(first) == ["b"]
    assert seen(follower(log, resume(checkpoints), checkpoints)) == ["b"]


def test_a_partition_without_a_checkpoint_begins_now(
    log: MemoryLog, checkpoints: Checkpoints
) -> None:
    """Partitions that were added are not read from their start by one that has saved others."""
    checkpoints.save(P0, Checkpoint(Progress(next_offset=0), {}))
    send(log, P0, "a")
    send(log, P1, "b")
    assert seen(follower(log, resume(checkpoints), checkpoints)) == ["a"]


def test_saving_writes_only_what_moved(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """A checkpoint is a file that is synced: not one per look."""
    following = follower(log, resume(checkpoints), checkpoints)
    following.save()
    kept = checkpoints.progress(P0)
    checkpoints.save(P0, Checkpoint(Progress(next_offset=0, epoch=9), {}))
    send(log, P1, "a")
    seen(following)
    following.save()
    assert kept == Progress(next_offset=0)
    assert checkpoints.progress(P0) == Progress(next_offset=0, epoch=9)
    assert checkpoints.progress(P1) == Progress(next_offset=1)


def test_one_without_checkpoints_saves_nothing(log: MemoryLog) -> None:
    """Who follows after the shards must never write where they write."""
    with pytest.raises(AssertionError, match="keeps no positions"):
        follower(log, from_now).save()


def test_it_reads_again_from_given_positions(log: MemoryLog, checkpoints: Checkpoints) -> None:
    """`starts` says where it would begin now, without moving it."""
    send(log, P0, "a", "b")
    following = follower(log, after_shards(checkpoints))
    assert seen(following) == ["a", "b"]
    checkpoints.save(P0, Checkpoint(Progress(next_offset=1), {}))
    starts = following.starts()
    assert starts == {P0: 1, P1: 0}
    assert seen(following) == []
    following.reset(starts)
    assert seen(following) == ["b"]
    assert seen(follower(log, at({P0: 0, P1: 0}))) == ["a", "b"]


def test_a_closed_one_reads_no_more(log: MemoryLog) -> None:
    """Its connection is gone."""
    following = follower(log, from_now)
    following.close()
    send(log, P0, "a")
    assert seen(following) == []


def test_what_erased_users_did_is_passed_over(log: MemoryLog, tmp_path: Path) -> None:
    """Up to their erasure, also where that comes while it follows; records of items are no user's.

    A follower that waits for the features of such a user would wait for ever.
    """
    log.create_topics([Topic("events", 1)])
    erased = ErasedUsersTable(tmp_path / "erased")
    erased.add("ann", 5)
    theirs = ErasedUsersTable(tmp_path / "erased")
    partition = Partition("events", 0)
    following = Follower(log.reader("test"), event_codec(1000), [partition], from_now, None, theirs)
    for user, time_ms in (("ann", 5), ("bob", 5), ("ann", 6)):
        event = {"event_id": f"{user}{time_ms}", "user_id": user, "item_id": "i"}
        value = msgspec.json.encode(event | {"event_type": "view", "event_time_ms": time_ms})
        log.append(partition, value, user.encode(), ())
    (polled,) = following.poll(0.0, 100)
    assert polled.table["event_id"].to_pylist() == ["bob5", "ann6"]
    assert polled.next_offset == 3
    items = Follower(log.reader("test"), item_codec(1000), [P0], from_now, None, theirs)
    send(log, P0, "ann")
    assert seen(items) == ["ann"]
