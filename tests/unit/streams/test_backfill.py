"""Backfill and stream are one merge: in any mixture they end in the sequences of one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reaseq.errors import InputError
from reaseq.events import EventType
from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from streams.backfill import backfill, check_times
from streams.log.codec import event_codec
from streams.log.dead_letters import DeadLetters
from streams.log.memory import MemoryLog
from streams.log.partitioner import partitions_of
from streams.log.ports import Topic
from streams.log.replay import replay
from streams.offline.events import EventArchive
from streams.offline.tables import Commit
from streams.settings import KafkaSettings, StreamSettings
from streams.shards.checkpoints import Checkpoints
from streams.shards.handlers.sequences import SequenceHandler
from streams.shards.shard import Shard

MAX_EVENTS = 4

# Few users, ids and times, so that duplicates, conflicts and full windows fall on both sides.
event_tables = st.lists(
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from([f"e{number}" for number in range(9)]),
            "user_id": st.sampled_from(["ann", "bob", "cid", "dan"]),
            "item_id": st.sampled_from(["lamp", "mug", "vase"]),
            "event_type": st.sampled_from([str(t) for t in EventType]),
            "event_time_ms": st.integers(0, 6),
            "value": st.sampled_from([None, 1.0]),
        }
    ),
    max_size=40,
).map(lambda rows: pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))

# The fixture is a factory: every example makes stages of its own.
PROPERTY = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Stage:
    """A store, an archive and a log, with what both ways of writing need."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.store = store
        self.folder = folder
        self.archive = EventArchive(folder / "events")
        self.log = MemoryLog()
        self.log.create_topics([Topic("events", 2), Topic("dead", 1)])

    def backfill(self, events: pa.Table, num_partitions: int = 1, name: str = "backfill") -> int:
        """What the Ray Data job does: users hashed into partitions, one merge per partition."""
        numbers = np.asarray(partitions_of(events["user_id"], num_partitions))
        parts = {n: events.filter(pa.array(numbers == n)) for n in range(num_partitions)}
        return sum(
            backfill(part, self.store, self.archive, MAX_EVENTS, Commit(f"{name}-{number}"))
            for number, part in parts.items()
            if part.num_rows
        )

    def stream(self, events: pa.Table) -> None:
        codec = event_codec(10_000)
        checkpoints = Checkpoints(self.folder / "checkpoints")
        replay(events, "user_id", "events", codec, self.log.writer())
        shard = Shard(
            partitions=self.log.partitions("events"),
            reader=self.log.reader("shard"),
            codec=codec,
            handlers=[SequenceHandler(self.store, self.archive, checkpoints, MAX_EVENTS, 100)],
            dead_letters=DeadLetters(self.log.writer(), "dead"),
            checkpoints=checkpoints,
            settings=StreamSettings(poll_timeout_s=0.001, max_poll_records=7),
        )
        shard.restore()
        while shard.step():
            pass
        shard.checkpoint()

    def mismatches(self, events: pa.Table) -> list[str]:
        rows = pa.Table.from_pylist(
            list(self.store.online[SEQUENCES.name].values()), schema=SEQUENCE_SCHEMA
        )
        return mismatched_users(rows, newest_distinct_events(events, MAX_EVENTS))


def identities(events: pa.Table) -> list[tuple[str, str]]:
    """User and id of each event, in order."""
    return sorted(zip(events["user_id"].to_pylist(), events["event_id"].to_pylist(), strict=True))


@pytest.fixture
def make_stage(tmp_path_factory: pytest.TempPathFactory, store: Any) -> Any:
    """Stages of their own, as many as a property needs."""
    return lambda: Stage(tmp_path_factory.mktemp("stage"), type(store)())


@given(first=event_tables, rest=event_tables, num_partitions=st.integers(1, 5))
@PROPERTY
def test_a_backfill_followed_by_the_stream_is_one_batch(
    make_stage: Any, first: pa.Table, rest: pa.Table, num_partitions: int
) -> None:
    """Any history, any number of partitions, late events and repetitions on both sides."""
    stage = make_stage()
    assert stage.backfill(first, num_partitions) == len(pc.unique(first["user_id"]))
    stage.stream(rest)
    events = pa.concat_tables([first, rest])
    assert stage.mismatches(events) == []
    assert identities(stage.archive.read()) == sorted(set(identities(events)))


@given(streamed=event_tables, history=event_tables, num_partitions=st.integers(1, 5))
@PROPERTY
def test_a_backfill_keeps_what_the_store_holds(
    make_stage: Any, streamed: pa.Table, history: pa.Table, num_partitions: int
) -> None:
    """History put beneath what a stopped stream wrote, for known and new users: one batch."""
    stage = make_stage()
    stage.stream(streamed)
    before = {user: row["revision"] for user, row in stage.store.online[SEQUENCES.name].items()}
    stage.backfill(history, num_partitions)
    assert stage.mismatches(pa.concat_tables([streamed, history])) == []
    assert all(
        stage.store.online[SEQUENCES.name][user]["revision"] >= before[user] for user in before
    )


@given(events=event_tables, num_partitions=st.integers(1, 5))
@PROPERTY
def test_a_backfill_repeated_changes_nothing(
    make_stage: Any, events: pa.Table, num_partitions: int
) -> None:
    """Online rows and archived events are the same, revisions included."""
    stage = make_stage()
    stage.backfill(events, num_partitions)
    online = repr(stage.store.online)
    archived = stage.archive.read()
    stage.backfill(events, num_partitions)
    assert repr(stage.store.online) == online
    assert stage.archive.read().equals(archived)


@given(events=event_tables, num_partitions=st.integers(1, 5))
@PROPERTY
def test_no_moment_knows_of_its_future(
    make_stage: Any, events: pa.Table, num_partitions: int
) -> None:
    """At each, a batch of only the events before it gives the very sequence."""
    stage = make_stage()
    stage.backfill(events, num_partitions)
    moments = [(user, time) for user in ("ann", "bob", "cid", "dan") for time in range(9)]
    users, times = map(list, zip(*moments, strict=True))
    labels = pa.table([users, times, [[]] * len(moments)], ORDER_SCHEMA)
    found = stage.archive.sequences_before(labels, MAX_EVENTS).to_pylist()
    for (user, time_ms), row in zip(moments, found, strict=True):
        known = events.filter(pc.less(events["event_time_ms"], time_ms))
        expected = newest_distinct_events(known, MAX_EVENTS).get(user, [])
        assert row["event_times_ms"] == [event.event_time_ms for event in expected]
        assert row["event_keys"] == [event.event_key for event in expected]


def test_events_of_one_user_may_be_many(make_stage: Any) -> None:
    """The oracle's sequences, and the revision counts every event once."""
    num_events = 40_001
    numbers = np.arange(num_events)
    events = pa.table(
        {
            "event_id": [f"e{number}" for number in numbers],
            "user_id": [f"u{number % 7}" for number in numbers],
            "item_id": ["mug"] * num_events,
            "event_type": ["view"] * num_events,
            "event_time_ms": numbers // 10,
            "value": pa.nulls(num_events, pa.float64()),
        },
        EVENT_SCHEMA,
    )
    stage = make_stage()
    assert stage.backfill(events) == 7
    assert stage.mismatches(events) == []
    revisions = {row["revision"] for row in stage.store.online[SEQUENCES.name].values()}
    assert revisions <= {5714, 5715, 5716}


@pytest.mark.parametrize("wrong_ms", [0, 4_070_908_800_000])
def test_a_history_keeps_the_streams_rule_of_times(tmp_path: Path, wrong_ms: int) -> None:
    """One event of 1970 or 2099 is named before anything is written; without it all is well."""
    times, now_ms = KafkaSettings().event_times, 1_795_000_000_000
    good = [1_300_000_000_000, now_ms]
    pq.write_table(pa.table({"event_time_ms": good}), tmp_path / "good.parquet")
    check_times(tmp_path / "good.parquet", times, now_ms)
    pq.write_table(pa.table({"event_time_ms": [*good, wrong_ms]}), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=rf"1 of 3 events .* event_time_ms {wrong_ms} lies"):
        check_times(tmp_path / "bad.parquet", times, now_ms)
