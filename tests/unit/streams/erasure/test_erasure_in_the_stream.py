"""What a user did until they were erased is never seen again, whatever the stream goes through."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from streams.backfill import backfill
from streams.erasure.erased_users import ErasedUsersTable
from streams.feature_store.memory import MemoryFeatures
from streams.log.codec import event_codec
from streams.log.dead_letters import DeadLetters
from streams.log.memory import MemoryLog
from streams.log.ports import Topic
from streams.log.replay import replay
from streams.offline.events import EventArchive
from streams.offline.tables import Commit, is_text
from streams.settings import KafkaSettings, StreamSettings
from streams.shards.checkpoints import Checkpoints
from streams.shards.handlers.sequences import SequenceHandler
from streams.shards.shard import Shard
from tests.unit.streams.shards.shared import drain, run_with_crashes

MAX_EVENTS = 5
ERASED_AT_MS = 1_300_000_000_000
USERS = ("ann", "bob", "cid", "dan")


def events_at(start_ms: int, seed: int, num_events: int = 60) -> pa.Table:
    rng = random.Random(seed)
    rows = [
        {
            "event_id": f"e{start_ms}-{number}",
            "user_id": rng.choice(USERS),
            "item_id": f"i{rng.randrange(9)}",
            "event_type": "view",
            "event_time_ms": start_ms + rng.randrange(100),
            "value": None,
        }
        for number in range(num_events)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


BEFORE, AFTER = events_at(ERASED_AT_MS - 99, 1), events_at(ERASED_AT_MS + 1, 2)


class Stage:
    """A log, stores and checkpoints that outlive the shards on them."""

    def __init__(self, folder: Path, store: MemoryFeatures, max_users: int = 9) -> None:
        self.log = MemoryLog()
        self.log.create_topics([Topic("events", 2), Topic("dead", 1)])
        self.store = store
        self.archive = EventArchive(folder / "events")
        self.erased = ErasedUsersTable(folder / "erased")
        self.folder = folder
        self.max_users = max_users
        self.codec = event_codec(10_000, KafkaSettings().event_times)

    def shard(self) -> Shard:
        checkpoints = Checkpoints(self.folder / "checkpoints")
        erased = ErasedUsersTable(self.folder / "erased")
        handler = SequenceHandler(
            self.store, self.archive, checkpoints, MAX_EVENTS, self.max_users, erased
        )
        shard = Shard(
            partitions=self.log.partitions("events"),
            reader=self.log.reader("shard"),
            codec=self.codec,
            handlers=[handler],
            dead_letters=DeadLetters(self.log.writer(), "dead"),
            checkpoints=checkpoints,
            settings=StreamSettings(poll_timeout_s=0.001, max_poll_records=7),
            erased=erased,
        )
        shard.restore()
        return shard

    def send(self, events: pa.Table) -> None:
        replay(events, "user_id", "events", self.codec, self.log.writer())

    def clear_stores(self, user: str) -> None:
        """What the command does once the shards have taken up the erasure."""
        self.store.delete(SEQUENCES, [user], ERASED_AT_MS)
        is_theirs = is_text("user_id", user)
        self.archive.table.delete(is_theirs & (ds.field("event_time_ms") <= ERASED_AT_MS))

    def mismatches(self, events: pa.Table) -> list[str]:
        rows = pa.Table.from_pylist(
            list(self.store.online[SEQUENCES.name].values()), schema=SEQUENCE_SCHEMA
        )
        return mismatched_users(rows, newest_distinct_events(events, MAX_EVENTS))

    def kept_of(self, user: str) -> int:
        """Rows of the user in all checkpoints."""
        checkpoints = Checkpoints(self.folder / "checkpoints")
        kept = [checkpoints.load(partition) for partition in self.log.partitions("events")]
        states = [one.states["sequences"] for one in kept if one is not None]
        return sum(pc.sum(pc.equal(rows["user_id"], user)).as_py() or 0 for rows in states if rows)


@pytest.fixture(params=[1, 9], ids=["little memory", "much memory"])
def stage(tmp_path: Path, store: MemoryFeatures, request: pytest.FixtureRequest) -> Stage:
    return Stage(tmp_path, store, request.param)


def but_of_ann(events: pa.Table) -> pa.Table:
    return events.filter(pc.not_equal(events["user_id"], "ann"))


def test_an_erased_user_is_gone_and_comes_back_as_a_newcomer(stage: Stage) -> None:
    """From memory and checkpoints at the next checkpoint; a replay brings nothing back."""
    stage.send(BEFORE)
    drain(shard := stage.shard())
    shard.checkpoint()
    assert stage.kept_of("ann") == 1
    stage.erased.add("ann", ERASED_AT_MS)
    shard.checkpoint()
    assert stage.kept_of("ann") == 0
    stage.clear_stores("ann")
    stage.send(BEFORE)
    drain(shard)
    shard.checkpoint()
    assert stage.mismatches(but_of_ann(BEFORE)) == []
    assert stage.store.read(SEQUENCES, ["ann"]).num_rows == 0
    assert "ann" not in stage.archive.users()
    stage.send(AFTER)
    drain(shard)
    shard.checkpoint()
    left = pa.concat_tables([but_of_ann(BEFORE), AFTER])
    assert stage.mismatches(left) == []
    assert sorted(stage.archive.read()["event_id"].to_pylist()) == sorted(
        left["event_id"].to_pylist()
    )


@pytest.mark.parametrize("seed", range(8))
def test_crashes_do_not_bring_a_user_back(stage: Stage, seed: int) -> None:
    """Shards lost at any moment before and after, replays, and lost checkpoints at last."""
    rng = random.Random(seed)
    stage.send(BEFORE)
    shard = stage.shard()
    for _ in range(rng.randrange(12)):
        shard.step()
    if rng.random() < 0.5:
        shard.checkpoint()
    stage.erased.add("ann", ERASED_AT_MS)
    run_with_crashes(stage.shard, rng, 20)
    assert stage.kept_of("ann") == 0
    stage.clear_stores("ann")
    for events in (AFTER, BEFORE):
        stage.send(events)
    run_with_crashes(stage.shard, rng, 40)
    left = pa.concat_tables([but_of_ann(BEFORE), AFTER])
    assert stage.mismatches(left) == []
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(left["event_id"].to_pylist())


def test_a_backfill_leaves_out_who_was_erased(stage: Stage) -> None:
    """Online and in the archive."""
    stage.erased.add("ann", ERASED_AT_MS)
    both = pa.concat_tables([BEFORE, AFTER])
    num_users = backfill(
        both, stage.store, stage.archive, MAX_EVENTS, Commit("history"), stage.erased
    )
    assert num_users == len(USERS)
    left = pa.concat_tables([but_of_ann(BEFORE), AFTER])
    assert stage.mismatches(left) == []
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(left["event_id"].to_pylist())
