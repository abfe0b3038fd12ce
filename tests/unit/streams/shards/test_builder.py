"""A builder makes the shard of a topic from the topology: with its codec, handlers and ports."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from reaseq.feature_views import ITEMS, SEQUENCES
from streams.feature_store.memory import MemoryFeatures
from streams.log.event_times import ANY_TIME
from streams.log.memory import MemoryLog
from streams.log.ports import LogError, LogReader, LogWriter, Partition, Topic
from streams.offline.events import EventArchive
from streams.settings import StreamSettings, TopicSettings
from streams.shards.builder import READER_NAME, ShardBuilder
from streams.shards.checkpoints import Checkpoints
from streams.shards.topology import HandlerPorts, topology

TOPICS = TopicSettings(events="events", items="items", dead_letters="dead")
EVENTS = Partition("events", 0)
ITEM_PARTITION = Partition("items", 0)


class WatchedLog(MemoryLog):
    """Remembers which of its connections were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[str] = []

    def reader(self, name: str) -> LogReader:
        reader = super().reader(name)
        reader.close = lambda: self.closed.append("reader")  # type: ignore[method-assign]
        return reader

    def writer(self) -> LogWriter:
        writer = super().writer()
        writer.close = lambda: self.closed.append("writer")  # type: ignore[method-assign]
        return writer


@pytest.fixture
def log() -> WatchedLog:
    log = WatchedLog()
    log.create_topics([Topic("events", 1), Topic("items", 1), Topic("dead", 1)])
    return log


@pytest.fixture
def builder(tmp_path: Path, log: WatchedLog, store: MemoryFeatures) -> ShardBuilder:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    stream = StreamSettings(poll_timeout_s=0.001)
    archive = EventArchive(tmp_path / "events")
    return ShardBuilder(
        topology(TOPICS, num_shards=1),
        log,
        checkpoints,
        HandlerPorts(store, archive, checkpoints, stream),
        dead_letter_topic="dead",
        max_event_bytes=1000,
        event_times=ANY_TIME,
    )


def send_event(log: MemoryLog, event_id: str) -> None:
    event = {"event_id": event_id, "user_id": "ann", "item_id": "mug", "event_type": "view"}
    value = msgspec.json.encode(event | {"event_time_ms": 5})
    log.append(EVENTS, value, b"ann", ())


class AfterSteps:
    """Stops a shard after so many looks."""

    def __init__(self, num_steps: int) -> None:
        self._left = num_steps

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def run(builder: ShardBuilder, partition: Partition, num_steps: int = 1) -> None:
    """What the runner in an actor does with a shard."""
    with closing(builder.build([partition])) as shard:
        shard.restore()
        shard.run(AfterSteps(num_steps))


def test_a_shard_reads_checkpoints_and_closes_what_it_was_given(
    builder: ShardBuilder, log: WatchedLog, store: MemoryFeatures
) -> None:
    """When told to stop it has kept what it did, and published its position for lag tools."""
    send_event(log, "e1")
    run(builder, EVENTS, num_steps=2)
    assert store.online[SEQUENCES.name]["ann"]["item_ids"] == ["mug"]
    progress = builder.checkpoints.progress(EVENTS)
    assert progress is not None
    assert progress.next_offset == 1
    assert log.committed[READER_NAME] == {EVENTS: 1}
    assert log.closed == ["writer", "reader"]


def test_a_second_shard_goes_on_where_the_first_ended(
    builder: ShardBuilder, log: WatchedLog
) -> None:
    """Each has handlers of its own; what it knows comes from the checkpoint."""
    for number in range(2):
        send_event(log, f"e{number}")
        run(builder, EVENTS)
    progress = builder.checkpoints.progress(EVENTS)
    assert progress is not None
    assert progress.counters.num_records == progress.counters.num_accepted == 2


def test_each_topic_gets_its_handlers(
    builder: ShardBuilder,
    log: WatchedLog,
    store: MemoryFeatures,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An item reaches the catalogue; a handler without state is not called new at a restart."""
    item = {"item_id": "mug", "title": "A mug", "event_time_ms": 5}
    log.append(ITEM_PARTITION, msgspec.json.encode(item), b"mug", ())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run(builder, ITEM_PARTITION)
    assert store.online[ITEMS.name]["mug"]["title"] == "A mug"
    assert caplog.text == ""


def test_a_value_that_is_too_long_becomes_a_dead_letter(
    builder: ShardBuilder, log: WatchedLog
) -> None:
    """The limit and the topic are those that the builder was given."""
    log.append(EVENTS, b"x" * 1001, b"ann", ())
    run(builder, EVENTS)
    (letter,) = log.read(Partition("dead", 0), 0, 10)
    assert letter.value == b"x" * 1001


def test_a_reader_is_closed_where_the_writer_cannot_be(
    builder: ShardBuilder, log: WatchedLog
) -> None:
    """A broker that takes no last dead letter does not keep the other connection open."""
    shard = builder.build([EVENTS])

    def refuse() -> None:
        raise LogError("the broker is gone")

    shard._dead_letters._writer.close = refuse  # type: ignore[method-assign]
    with pytest.raises(LogError):
        shard.close()
    assert log.closed == ["reader"]


def test_a_shard_reads_one_topic(builder: ShardBuilder) -> None:
    """Partitions of two topics would need two codecs."""
    with pytest.raises(ValueError, match="unpack"):
        builder.build([EVENTS, ITEM_PARTITION])
