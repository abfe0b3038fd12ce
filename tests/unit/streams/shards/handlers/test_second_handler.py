"""A further handler of a topic is one file and one row: here, one that counts events per item."""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA
from reaseq.types import Int64s
from streams.feature_store.memory import MemoryFeatures
from streams.log.codec import event_codec
from streams.log.event_times import ANY_TIME
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.log.replay import replay
from streams.offline.events import EventArchive
from streams.offline.tables import Commit
from streams.settings import StreamSettings, TopicSettings
from streams.shards.builder import ShardBuilder
from streams.shards.checkpoints import Checkpoints
from streams.shards.handlers.port import Arrivals
from streams.shards.shard import Shard
from streams.shards.topology import HandlerPorts, Topology, topology
from tests.unit.streams.shards.shared import drain, run_with_crashes

TOPICS = TopicSettings(events="events", dead_letters="dead")
STREAM = StreamSettings(poll_timeout_s=0.001, max_poll_records=7)


COUNTS = pa.schema([("item_id", pa.string()), ("num_events", pa.int64())])


class ItemCounts:
    """The file: how often each item occurs, duplicates included, totals written online."""

    name = "item_counts"

    def __init__(self, online: dict[tuple[Partition, str], int]) -> None:
        self._online = online
        self._counts: dict[Partition, Counter[str]] = defaultdict(Counter)

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        kept = rows.to_pydict() if rows is not None else {"item_id": [], "num_events": []}
        pairs = zip(kept["item_id"], kept["num_events"], strict=True)
        self._counts[partition] = Counter(dict(pairs))

    def apply(self, arrivals: Arrivals) -> int:
        self._counts[arrivals.partition].update(arrivals.table["item_id"].to_pylist())
        return int(arrivals.table.num_rows)

    def write(self) -> None:
        for partition, counts in self._counts.items():
            self._online |= {(partition, item): count for item, count in counts.items()}

    def forget(self, partition: Partition, user_hashes: Int64s) -> None:
        """Counts of items are about nobody."""

    def checkpoint(self, partition: Partition, commit: Commit) -> pa.Table:
        counts = self._counts[partition]
        return pa.table([list(counts), list(counts.values())], schema=COUNTS)


class Stage:
    """What outlives the shards: log, store, checkpoints and the online counts."""

    def __init__(self, folder: Path, store: MemoryFeatures) -> None:
        self.log = MemoryLog()
        self.log.create_topics([Topic("events", 2), Topic("dead", 1)])
        self.store = store
        self.archive = EventArchive(folder / "events")
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self.counts: dict[tuple[Partition, str], int] = {}

    def plan(self) -> Topology:
        """The row: the table of the system with one handler more."""
        plan = topology(TOPICS, num_shards=1)
        row = plan["events"]
        handlers = [*row.handlers, lambda ports: ItemCounts(self.counts)]
        return plan | {"events": row._replace(handlers=handlers)}

    def shard(self, plan: Topology | None = None) -> Shard:
        builder = ShardBuilder(
            plan or self.plan(),
            self.log,
            self.checkpoints,
            HandlerPorts(self.store, self.archive, self.checkpoints, STREAM),
            dead_letter_topic="dead",
            max_event_bytes=10_000,
            event_times=ANY_TIME,
        )
        shard = builder.build(self.log.partitions("events"))
        shard.restore()
        return shard

    def send(self, events: pa.Table) -> None:
        replay(events, "user_id", "events", event_codec(10_000), self.log.writer())

    def items(self) -> Counter[str]:
        """The online counts, over all partitions."""
        total: Counter[str] = Counter()
        for (_, item), count in self.counts.items():
            total[item] += count
        return total


@pytest.fixture
def stage(tmp_path: Path, store: MemoryFeatures) -> Stage:
    return Stage(tmp_path, store)


def make_events(num_events: int, seed: int = 0) -> pa.Table:
    rng = random.Random(seed)
    rows = [
        {
            "event_id": f"{seed}-{number}",
            "user_id": f"u{rng.randrange(6)}",
            "item_id": f"i{rng.randrange(9)}",
            "event_type": "view",
            "event_time_ms": 1_300_000_000_000 + number,
            "value": None,
        }
        for number in range(num_events)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def test_a_kill_between_write_and_checkpoint_counts_every_event_once(stage: Stage) -> None:
    """State goes back with the offset: what was online already is counted again to the same."""
    first, second = make_events(30, 1), make_events(30, 2)
    stage.send(first)
    drain(shard := stage.shard())
    shard.checkpoint()
    stage.send(second)
    drain(stage.shard())  # written online, and killed before its checkpoint
    everything = Counter(pa.concat_tables([first, second])["item_id"].to_pylist())
    assert stage.items() == everything
    drain(again := stage.shard())
    again.checkpoint()
    assert stage.items() == everything
    stage.counts.clear()
    stage.shard()._handlers[1].write()
    assert stage.items() == everything, "the state of the last checkpoint alone says the same"


@pytest.mark.parametrize("seed", range(8))
def test_crashes_at_random_moments_leave_no_trace(stage: Stage, seed: int) -> None:
    """Steps, checkpoints and lost shards in any mixture: both handlers end as if undisturbed."""
    rng = random.Random(seed)
    events = make_events(80, seed)
    stage.send(events)
    run_with_crashes(stage.shard, rng, 40)
    assert stage.items() == Counter(events["item_id"].to_pylist())
    assert stage.archive.read().num_rows == 80
    online = stage.store.online[SEQUENCES.name]
    assert sum(len(row["item_ids"]) for row in online.values()) == 80


def test_a_handler_that_is_new_begins_with_nothing_and_the_shard_says_so(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Records before it are not counted; the handler that was there keeps its state."""
    first, second = make_events(20, 1), make_events(20, 2)
    stage.send(first)
    drain(shard := stage.shard(topology(TOPICS, num_shards=1)))
    shard.checkpoint()
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        shard = stage.shard()
    assert "the handler item_counts is new to events[0]: it begins at offset" in caplog.text
    stage.send(second)
    drain(shard)
    shard.checkpoint()
    assert stage.items() == Counter(second["item_id"].to_pylist())
    assert stage.archive.read().num_rows == 40
    caplog.clear()
    stage.shard()
    assert caplog.text == "", "from now on it is known"


def test_a_handler_that_was_removed_is_ignored(stage: Stage) -> None:
    """Its state is not asked for and ends with the next checkpoint; the others go on."""
    stage.send(make_events(20, 1))
    drain(shard := stage.shard())
    shard.checkpoint()
    stage.send(make_events(20, 2))
    drain(shard := stage.shard(topology(TOPICS, num_shards=1)))
    shard.checkpoint()
    for partition in stage.log.partitions("events"):
        checkpoint = stage.checkpoints.load(partition)
        assert checkpoint is not None
        assert list(checkpoint.states) == ["sequences"]
    assert stage.archive.read().num_rows == 40


def test_the_first_handler_counts_what_is_accepted(stage: Stage) -> None:
    """A duplicate is no news to the sequences, whatever the second handler makes of it."""
    events = make_events(10)
    stage.send(pa.concat_tables([events, events]))
    drain(shard := stage.shard())
    shard.checkpoint()
    progress = [stage.checkpoints.progress(p) for p in stage.log.partitions("events")]
    assert sum(p.counters.num_records for p in progress if p) == 20
    assert sum(p.counters.num_accepted for p in progress if p) == 10
