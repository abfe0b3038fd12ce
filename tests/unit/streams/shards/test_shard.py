"""A shard survives bad records, crashes between any two effects, and duplicates."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from reaseq.errors import NotReadyError
from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from reaseq.sequences.orders import orders_of
from streams.log.codec import event_codec
from streams.log.dead_letters import DeadLetters, read_dead_letter
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.offline.events import EventArchive
from streams.settings import KafkaSettings, StreamSettings
from streams.shards.assignment import assign_partitions
from streams.shards.checkpoints import Checkpoints, Counters, Progress
from streams.shards.handlers.sequences import SequenceHandler
from streams.shards.manifests import FencedError
from streams.shards.shard import Shard
from tests.unit.streams.shards.shared import drain, run_with_crashes

MAX_EVENTS = 5
HOUR_S = 3600
STREAM = StreamSettings(poll_timeout_s=0.001, max_poll_records=7)


def make_events(num_events: int, seed: int = 0) -> pa.Table:
    rng = random.Random(seed)
    rows = [
        {
            "event_id": f"e{rng.randrange(num_events)}",
            "user_id": f"u{rng.randrange(6)}",
            "item_id": f"i{rng.randrange(9)}",
            "event_type": rng.choice(["view", "purchase", "return"]),
            "event_time_ms": 1_300_000_000_000 + rng.randrange(40),
            "value": 1.0,
        }
        for _ in range(num_events)
    ]
    # One id has one user: the user is the key that decides the partition.
    owners: dict[str, str] = {}
    for row in rows:
        row["user_id"] = owners.setdefault(str(row["event_id"]), str(row["user_id"]))
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


class Stage:
    """A log, a folder and a store that outlive the shards working on them."""

    def __init__(
        self, folder: Path, store: Any, max_users: int = 100, num_partitions: int = 2
    ) -> None:
        self.max_users = max_users
        self.produced_s_ago = 0
        self.log = MemoryLog(clock=lambda: time.time() - self.produced_s_ago)
        self.log.create_topics([Topic("events", num_partitions), Topic("dead", 1)])
        self.store = store
        self.archive = EventArchive(folder / "events")
        self.folder = folder
        self.codec = event_codec(10_000, KafkaSettings().event_times)

    def shard(self, partitions: list[Partition] | None = None) -> Shard:
        checkpoints = Checkpoints(self.folder / "checkpoints")
        shard = Shard(
            partitions=partitions or self.log.partitions("events"),
            reader=self.log.reader("shard"),
            codec=self.codec,
            handlers=[
                SequenceHandler(self.store, self.archive, checkpoints, MAX_EVENTS, self.max_users)
            ],
            dead_letters=DeadLetters(self.log.writer(), "dead"),
            checkpoints=checkpoints,
            settings=STREAM,
        )
        shard.restore()
        return shard

    def send(self, events: pa.Table) -> None:
        writer = self.log.writer()
        for row, value in zip(events.to_pylist(), self.codec.encode_rows(events), strict=True):
            writer.send("events", value, row["user_id"].encode())

    def mismatches(self, events: pa.Table) -> list[str]:
        rows = pa.Table.from_pylist(
            list(self.store.online[SEQUENCES.name].values()), schema=SEQUENCE_SCHEMA
        )
        return mismatched_users(rows, newest_distinct_events(events, MAX_EVENTS))


@pytest.fixture
def stage(tmp_path: Path, store: Any) -> Stage:
    return Stage(tmp_path, store)


@pytest.mark.parametrize("seed", range(20))
def test_crashes_at_random_moments_leave_no_trace(stage: Stage, seed: int) -> None:
    """Steps and checkpoints in any mixture, shards lost in between: the oracle's sequences."""
    rng = random.Random(seed)
    events = make_events(120, seed)
    stage.send(events)
    run_with_crashes(stage.shard, rng, 60)
    assert stage.mismatches(events) == []
    archived = stage.archive.read()
    assert sorted(archived["event_id"].to_pylist()) == sorted(set(events["event_id"].to_pylist()))


@pytest.mark.parametrize("max_users", [1, 2])
@pytest.mark.parametrize("seed", range(10))
def test_users_that_memory_has_no_room_for_are_read_back(
    tmp_path: Path, store: Any, seed: int, max_users: int
) -> None:
    """With room for a third of them, and crashes: sequences, archive and counters as with all.

    Read back is what a lost shard had written, so repeated events may count as accepted no more.
    """
    stage = Stage(tmp_path, store, max_users)
    events = make_events(150, seed)
    stage.send(events)
    run_with_crashes(stage.shard, random.Random(seed), 60)
    assert stage.mismatches(events) == []
    partitions = stage.log.partitions("events")
    found = [Checkpoints(tmp_path / "checkpoints").progress(p) for p in partitions]
    other_stage = Stage(tmp_path / "other", type(store)())
    other_stage.log = stage.log
    drain(other := other_stage.shard())
    other.checkpoint()
    expected = [Checkpoints(tmp_path / "other" / "checkpoints").progress(p) for p in partitions]
    for counters, undisturbed in zip(counters_of(found), counters_of(expected), strict=True):
        assert counters.num_accepted <= undisturbed.num_accepted
        assert msgspec.structs.replace(counters, num_accepted=undisturbed.num_accepted) == (
            undisturbed
        )


def counters_of(progress: Iterable[Progress | None]) -> list[Counters]:
    return [one.counters for one in progress if one is not None]


def users_in_memory(shard: Shard) -> list[int]:
    """Of each partition."""
    (handler,) = shard._handlers
    assert isinstance(handler, SequenceHandler)
    return [len(state) for state in handler._states.values()]


def test_a_shard_keeps_no_more_users_than_it_may(tmp_path: Path, store: Any) -> None:
    """After each checkpoint, and after a restart from checkpoints of more."""
    stage = Stage(tmp_path, store, max_users=2)
    stage.send(make_events(100))
    drain(shard := stage.shard())
    shard.checkpoint()
    assert all(0 < number <= 2 for number in users_in_memory(shard))
    assert all(0 < number <= 2 for number in users_in_memory(stage.shard()))
    stage.send(make_events(10, 1))
    drain(again := stage.shard())
    again.checkpoint()
    assert all(0 < number <= 2 for number in users_in_memory(again))


def test_a_shard_that_is_behind_writes_a_user_once(stage: Stage) -> None:
    """It collects while the log holds more and events are old; a checkpoint writes all."""
    stage.produced_s_ago = HOUR_S
    stage.send(make_events(140))
    shard = stage.shard()
    for _ in range(10):
        shard.step()
    assert stage.store.online.get(SEQUENCES.name, {}) == {}
    shard.checkpoint()
    assert len(stage.store.online[SEQUENCES.name]) > 1
    assert stage.store.num_writes == 1


def test_a_shard_at_the_end_of_old_events_writes_at_once(stage: Stage) -> None:
    """What was produced long ago waits for nothing when nothing comes after it."""
    stage.produced_s_ago = HOUR_S
    stage.send(make_events(140))
    shard = stage.shard()
    drain(shard)
    assert stage.store.num_writes > 0
    assert stage.mismatches(make_events(140)) == []


def test_a_shard_a_little_behind_collects_a_little(stage: Stage) -> None:
    """Events that have just been produced are written, however many wait."""
    stage.send(make_events(140))
    shard = stage.shard()
    time.sleep(0.01)
    shard.step()
    assert stage.store.num_writes == 1


def test_a_shard_that_keeps_up_writes_at_once(stage: Stage) -> None:
    """No event waits for others."""
    shard = stage.shard()
    for seed in range(3):
        stage.send(make_events(2, seed))
        shard.step()
        assert stage.store.num_writes == seed + 1


def take_and_checkpoint(shard: Shard) -> None:
    """What a shard does until it is stopped."""
    drain(shard)
    shard.checkpoint()


def test_a_shard_that_lost_its_partition_cannot_save(stage: Stage) -> None:
    """One believed dead wakes up after its successor has begun: it stops, and harms nothing."""
    events = make_events(80)
    stage.send(events)
    late = stage.shard()
    take(late, 40)
    drain(successor := stage.shard())
    successor.checkpoint()
    with pytest.raises(FencedError, match="another process goes on"):
        take_and_checkpoint(late)
    stage.send(again := make_events(80, 1))
    drain(successor)
    successor.checkpoint()
    assert stage.shard().positions == successor.positions
    both = pa.concat_tables([events, again])
    assert stage.mismatches(both) == []
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(both["event_id"].to_pylist())


@pytest.mark.parametrize("events_archived", [True, False])
def test_a_crash_before_the_checkpoint_leaves_every_event_exactly_once(
    stage: Stage, events_archived: bool
) -> None:
    """With the arrival it had; the online store already shows the lost shard's work."""
    stage.send(make_events(40))
    lost = stage.shard()
    drain(lost)
    if events_archived:
        lost._checkpoints.save = lambda *_: None  # type: ignore[method-assign]
        lost.checkpoint()
    drain(shard := stage.shard())
    shard.checkpoint()
    rows = stage.archive.table.read(["partition", "epoch", "log_offset", "event_id"]).to_pylist()
    ends = {p: stage.log.end_offset(p) for p in stage.log.partitions("events")}
    arrivals = sorted((row["partition"], row["log_offset"]) for row in rows)
    assert arrivals == [(p.number, offset) for p in sorted(ends) for offset in range(ends[p])]
    assert len({(row["partition"], row["epoch"]) for row in rows}) == len(ends)


@pytest.mark.parametrize("polled_before", [5, 20, 40])
@pytest.mark.parametrize("polled_after", [3, 20, 40])
def test_a_repetition_may_take_in_fewer_or_more_records(
    stage: Stage, polled_before: int, polled_after: int
) -> None:
    """Lost between append and checkpoint: what a shorter or longer repetition adds is right.

    Events are archived all, and a join at every moment finds what an undisturbed shard leaves.
    """
    events = make_events(120)
    stage.send(events)
    lost = stage.shard()
    take(lost, polled_before)
    lost._checkpoints.save = lambda *_: None  # type: ignore[method-assign]
    lost.checkpoint()
    take(shard := stage.shard(), polled_after)
    shard.checkpoint()
    drain(shard)
    shard.checkpoint()
    undisturbed = Stage(stage.folder / "other", type(stage.store)())
    undisturbed.log = stage.log
    drain(other := undisturbed.shard())
    other.checkpoint()
    assert stage.archive.read().equals(undisturbed.archive.read())
    users = sorted(set(events["user_id"].to_pylist()))
    moments = [(user, 1_300_000_000_000 + ms) for user in users for ms in range(41)]
    labels = pa.table([*map(list, zip(*moments, strict=True)), [[]] * len(moments)], ORDER_SCHEMA)
    expected = repr(undisturbed.archive.sequences_before(labels, MAX_EVENTS).to_pylist())
    assert repr(stage.archive.sequences_before(labels, MAX_EVENTS).to_pylist()) == expected


def take(shard: Shard, num_records: int) -> None:
    """Steps until so many records, or a few more, have been taken in."""
    while num_records > 0 and (taken := shard.step()):
        num_records -= taken


def test_a_log_that_lost_its_end_does_not_hide_new_events(stage: Stage) -> None:
    """When offsets start over, new events are not taken for those archived before."""
    first, second = make_events(30, 1), make_events(30, 2)
    stage.send(first)
    drain(shard := stage.shard())
    shard.checkpoint()
    for partition in shard.positions:
        stage.log.lose(partition, after=0)
    with pytest.warns(UserWarning, match="holds"):
        shard = stage.shard()
    stage.send(second)
    drain(shard)
    shard.checkpoint()
    both = pa.concat_tables([first, second])
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(both["event_id"].to_pylist())
    assert stage.mismatches(both) == []


def test_a_moved_position_with_nothing_applied_is_saved(stage: Stage) -> None:
    """The log lost records and nothing new has come: the new position is kept."""
    stage.send(make_events(30))
    drain(shard := stage.shard())
    shard.checkpoint()
    before = shard.positions
    for partition in shard.positions:
        stage.log.lose(partition, after=0)
    with pytest.warns(UserWarning, match="holds"):
        shard = stage.shard()
    shard.step()
    shard.checkpoint()
    assert all(before.values())
    shard = stage.shard()
    assert shard.positions == dict.fromkeys(before, 0)
    for partition in before:
        progress = shard._checkpoints.progress(partition)
        assert progress is not None
        assert (progress.freshness_p50_ms, progress.freshness_p99_ms) == (0.0, 0.0)
    stage.send(make_events(30, 1))
    drain(shard)
    shard.checkpoint()
    both = pa.concat_tables([make_events(30), make_events(30, 1)])
    assert stage.mismatches(both) == []


def lost(shard: Shard) -> int:
    """Records that the shard says it lost, over its partitions."""
    progress = [shard._checkpoints.progress(partition) for partition in shard.positions]
    return sum(kept.counters.num_lost for kept in progress if kept)


def test_records_that_expired_before_they_were_read_are_counted_and_said(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """While the shard runs, and while it is away; what is left is taken in."""
    stage.send(make_events(30))
    drain(shard := stage.shard())
    at = shard.positions
    stage.send(make_events(60, 1))
    for partition, position in at.items():
        stage.log.expire(partition, position + 3)
    drain(shard)
    shard.checkpoint()
    assert lost(shard) == 6
    assert caplog.text.count("3 records from offset") == 2
    assert "retention.ms" in caplog.text
    at = shard.positions
    stage.send(make_events(60, 2))
    for partition, position in at.items():
        stage.log.expire(partition, position + 2)
    with pytest.warns(UserWarning, match="holds"):
        shard = stage.shard()
    drain(shard)
    shard.checkpoint()
    assert lost(shard) == 10
    ends = {partition: stage.log.end_offset(partition) for partition in at}
    assert shard.positions == ends


def test_what_expired_before_anybody_read_is_not_lost(stage: Stage) -> None:
    """A stream may be set up on a topic that has been there for years."""
    stage.send(make_events(30))
    for partition in stage.log.partitions("events"):
        stage.log.expire(partition, 2)
    with pytest.warns(UserWarning, match="holds"):
        shard = stage.shard()
    drain(shard)
    shard.checkpoint()
    assert lost(shard) == 0


def test_offsets_that_go_back_start_a_new_epoch(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """While the shard runs: nothing new is taken for what was archived under the same offsets."""
    first, second = make_events(60, 1), make_events(20, 2)
    stage.send(first)
    drain(shard := stage.shard())
    shard.checkpoint()
    for partition in shard.positions:
        stage.log.lose(partition, after=0)
    stage.send(second)
    drain(shard)
    shard.checkpoint()
    assert "went back from offset" in caplog.text
    both = pa.concat_tables([first, second])
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(both["event_id"].to_pylist())
    assert stage.mismatches(both) == []
    epochs = stage.archive.table.read(["epoch", "partition"])
    assert len(set(zip(*epochs.to_pydict().values(), strict=True))) == 4


@pytest.mark.parametrize("num_new", [7, 60])
@pytest.mark.parametrize("is_running", [True, False])
def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    stage: Stage, caplog: pytest.LogCaptureFixture, num_new: int, is_running: bool
) -> None:
    """Whether it outgrew the old position or not; while the shard runs and when it starts."""
    first, second = make_events(40, 1), make_events(num_new, 2)
    stage.send(first)
    drain(shard := stage.shard())
    shard.checkpoint()
    stage.log.make_again(Topic("events", 2))
    stage.send(second)
    if not is_running:
        shard = stage.shard()
    drain(shard)
    shard.checkpoint()
    assert "made again under its name" in caplog.text
    both = pa.concat_tables([first, second])
    assert set(stage.archive.read()["event_id"].to_pylist()) == set(both["event_id"].to_pylist())
    assert stage.mismatches(both) == []
    ends = stage.log.reader("end").end_offsets(stage.log.partitions("events"))
    assert shard.positions == ends
    assert lost(shard) == 0


@pytest.mark.parametrize("is_running", [True, False])
def test_a_topic_of_more_partitions_is_refused_in_words(stage: Stage, is_running: bool) -> None:
    """Users belong elsewhere then: nothing may be read before somebody has decided."""
    stage.send(make_events(40, 1))
    shard = stage.shard()
    take_and_checkpoint(shard)
    stage.log.add_partitions(Topic("events", 3))
    with pytest.raises(NotReadyError, match=r"has 3 partitions, and had 2 .*docs/operations.md"):
        shard.step() if is_running else stage.shard(stage.log.partitions("events")[:2])


@pytest.mark.parametrize("seed", range(5))
def test_another_number_of_shards_goes_on_from_the_checkpoints(
    tmp_path: Path, store: Any, seed: int
) -> None:
    """Two, then four, then one; each takes in a part, and dies once before."""
    stage = Stage(tmp_path, store, num_partitions=4)
    parts = [make_events(90, 10 * seed + number) for number in range(3)]
    for part, num_shards in zip(parts, (2, 4, 1), strict=True):
        stage.send(part)
        assigned = assign_partitions(stage.log.partitions("events"), num_shards)
        assert len(assigned) == num_shards
        for partitions in assigned:
            take(stage.shard(partitions), 5)  # dies without a checkpoint
            drain(shard := stage.shard(partitions))
            shard.checkpoint()
    assert stage.mismatches(pa.concat_tables(parts)) == []
    archived = stage.archive.table.read(["partition", "log_offset"]).to_pylist()
    assert len(archived) == len({tuple(row.values()) for row in archived}) == 270


def test_records_that_are_all_bad_move_the_position(stage: Stage) -> None:
    """A batch without one good record is checkpointed like any other."""
    stage.log.writer().send("events", b"not json", b"u0")
    drain(shard := stage.shard())
    shard.checkpoint()
    assert sum(stage.shard().positions.values()) == 1


def test_handlers_of_one_name_are_refused(stage: Stage) -> None:
    """They would share their state."""
    shard = stage.shard()
    with pytest.raises(AssertionError, match="names of their own"):
        Shard(
            partitions=list(shard.positions),
            reader=stage.log.reader("shard"),
            codec=stage.codec,
            handlers=[*shard._handlers, *shard._handlers],
            dead_letters=DeadLetters(stage.log.writer(), "dead"),
            checkpoints=shard._checkpoints,
            settings=STREAM,
        )


def test_bad_records_become_dead_letters_and_the_stream_goes_on(stage: Stage) -> None:
    """A malformed line, an unknown type, a negative time and a huge event, between good ones."""
    good = make_events(3)
    bad = [
        b"not json",
        b'{"event_id":"a","user_id":"u","item_id":"i","event_type":"bought","event_time_ms":1}',
        b'{"event_id":"a","user_id":"u","item_id":"i","event_type":"view","event_time_ms":-1}',
        b'{"event_id":"' + b"x" * 2_000_000 + b'"}',
    ]
    writer = stage.log.writer()
    stage.send(good)
    for value in bad:
        writer.send("events", value, b"u0")
    stage.send(good)
    shard = stage.shard()
    drain(shard)
    shard.checkpoint()
    reader = stage.log.reader("test")
    reader.assign({Partition("dead", 0): 0})
    (batch,) = reader.poll(1.0, 10)
    letters = [read_dead_letter(batch.record(position)) for position in range(len(batch))]
    assert [letter.value for letter in letters] == bad
    assert ["malformed" in letters[0].reason, "bought" in letters[1].reason] == [True, True]
    assert ["event_time_ms" in letters[2].reason, "2000" in letters[3].reason] == [True, True]
    assert {letter.source.topic for letter in letters} == {"events"}
    assert stage.mismatches(good) == []
    progress = [
        stage.shard()._checkpoints.progress(partition)
        for partition in stage.log.partitions("events")
    ]
    assert sum(p.counters.num_dead_letters for p in progress if p) == len(bad)
    assert sum(p.counters.num_records for p in progress if p) == len(bad) + 2 * good.num_rows


@pytest.mark.parametrize("wrong_ms", [0, 4_070_908_800_000])
def test_an_event_of_a_wrong_time_is_set_aside_and_leaves_no_trace(
    stage: Stage, wrong_ms: int
) -> None:
    """Of 1970 or 2099: a dead letter with the reason, and everything else is as without it."""
    good = make_events(40)
    wrong = good.slice(7, 1).to_pylist()[0] | {"event_id": "wrong", "event_time_ms": wrong_ms}
    stage.send(good.slice(0, 20))
    stage.send(pa.Table.from_pylist([wrong], schema=EVENT_SCHEMA))
    stage.send(good.slice(20))
    drain(shard := stage.shard())
    shard.checkpoint()
    assert stage.mismatches(good) == []
    assert "wrong" not in stage.archive.read()["event_id"].to_pylist()
    reader = stage.log.reader("test")
    reader.assign({Partition("dead", 0): 0})
    (batch,) = reader.poll(1.0, 10)
    (letter,) = [read_dead_letter(batch.record(position)) for position in range(len(batch))]
    assert letter.reason.startswith(f"event_time_ms {wrong_ms} lies")
    newest_ms = max(good["event_time_ms"].to_pylist())
    found = [shard._checkpoints.progress(partition) for partition in shard.positions]
    assert max(progress.newest_event_time_ms for progress in found if progress) == newest_ms


@pytest.mark.parametrize("seed", range(5))
def test_events_of_any_lateness_merge(stage: Stage, seed: int) -> None:
    """Thirty years of them in any order: the sequences are those of the events, none is refused."""
    rng = random.Random(seed)
    rows = make_events(80, seed).to_pylist()
    for row in rows:
        row["event_time_ms"] = rng.randrange(700_000_000_000, 1_700_000_000_000)
    events = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
    stage.send(events)
    drain(shard := stage.shard())
    shard.checkpoint()
    assert stage.mismatches(events) == []
    assert stage.log.end_offset(Partition("dead", 0)) == 0


def test_a_lost_checkpoint_is_made_good_by_the_online_store(stage: Stage) -> None:
    """A shard without a checkpoint reads users back before it merges new events."""
    first, second = make_events(60, 1), make_events(60, 2)
    stage.send(first)
    drain(stage.shard())
    shutil.rmtree(stage.folder / "checkpoints")
    stage.log = MemoryLog()
    stage.log.create_topics([Topic("events", 2), Topic("dead", 1)])
    stage.send(second)
    drain(stage.shard())
    assert stage.mismatches(pa.concat_tables([first, second])) == []


def test_an_event_is_known_by_its_user_and_its_id_everywhere(stage: Stage) -> None:
    """A source that counts per user: sequences, archive and labels keep the same events."""
    noon_ms = 1_300_000_000_000
    rows = [
        ("1", "ann", "mug", noon_ms + 10),
        ("1", "bob", "jar", noon_ms + 11),
        ("2", "bob", "pot", noon_ms + 12),
        ("2", "ann", "cup", noon_ms + 13),
        ("2", "ann", "cup", noon_ms + 13),
    ]
    names = ("event_id", "user_id", "item_id", "event_time_ms")
    events = pa.Table.from_pylist(
        [
            {**dict(zip(names, row, strict=True)), "event_type": "purchase", "value": None}
            for row in rows
        ],
        schema=EVENT_SCHEMA,
    )
    stage.send(events)
    shard = stage.shard()
    drain(shard)
    shard.checkpoint()
    kept = {user: row["item_ids"] for user, row in stage.store.online[SEQUENCES.name].items()}
    assert kept == {"ann": ["mug", "cup"], "bob": ["jar", "pot"]}
    archived = stage.archive.read()
    assert archived["item_id"].to_pylist() == ["mug", "jar", "pot", "cup"]
    assert orders_of(archived)["user_id"].to_pylist() == ["ann", "bob", "bob", "ann"]
