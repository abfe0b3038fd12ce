"""A runner builds the shard of its partitions, runs it and closes it: without any actor."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from reaseq.feature_views import ITEMS, SEQUENCES
from streams.feature_store.memory import MemoryFeatures
from streams.log.memory import MemoryLog
from streams.log.ports import LogReader, LogWriter, Partition, Topic
from streams.offline.events import EventArchive
from streams.settings import StreamSettings, TopicSettings
from streams.shards.checkpoints import Checkpoints
from streams.shards.runner import READER_NAME, ShardRunner
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
def runner(tmp_path: Path, log: WatchedLog, store: MemoryFeatures) -> ShardRunner:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    stream = StreamSettings(poll_timeout_s=0.001)
    archive = EventArchive(tmp_path / "events")
    return ShardRunner(
        topology(TOPICS, num_shards=1),
        log,
        checkpoints,
        HandlerPorts(store, archive, checkpoints, stream),
        dead_letter_topic="dead",
        max_event_bytes=1000,
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


def test_a_run_restores_reports_reads_checkpoints_and_closes(
    runner: ShardRunner, log: WatchedLog, store: MemoryFeatures
) -> None:
    """It reports before it reads; when told to stop it has kept what it did."""
    send_event(log, "e1")
    seen: list[object] = []
    runner.run([EVENTS], lambda: seen.append(dict(store.online)), AfterSteps(2))
    assert seen == [{}]
    assert store.online[SEQUENCES.name]["ann"]["item_ids"] == ["mug"]
    progress = runner.checkpoints.progress(EVENTS)
    assert progress is not None
    assert progress.next_offset == 1
    assert log.committed[READER_NAME] == {EVENTS: 1}
    assert log.closed == ["writer", "reader"]


def test_a_second_run_goes_on_where_the_first_ended(runner: ShardRunner, log: WatchedLog) -> None:
    """Each run has a shard of its own; what it knows comes from the checkpoint."""
    for number in range(2):
        send_event(log, f"e{number}")
        runner.run([EVENTS], lambda: None, AfterSteps(1))
    progress = runner.checkpoints.progress(EVENTS)
    assert progress is not None
    assert progress.counters.num_records == progress.counters.num_accepted == 2


def test_each_topic_gets_its_handlers(
    runner: ShardRunner, log: WatchedLog, store: MemoryFeatures, caplog: pytest.LogCaptureFixture
) -> None:
    """An item reaches the catalogue; a handler without state is not called new at a restart."""
    item = {"item_id": "mug", "title": "A mug", "event_time_ms": 5}
    log.append(ITEM_PARTITION, msgspec.json.encode(item), b"mug", ())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            runner.run([ITEM_PARTITION], lambda: None, AfterSteps(1))
    assert store.online[ITEMS.name]["mug"]["title"] == "A mug"
    assert caplog.text == ""


def test_a_value_that_is_too_long_becomes_a_dead_letter(
    runner: ShardRunner, log: WatchedLog
) -> None:
    """The limit and the topic are those that the runner was given."""
    log.append(EVENTS, b"x" * 1001, b"ann", ())
    runner.run([EVENTS], lambda: None, AfterSteps(1))
    (letter,) = log.read(Partition("dead", 0), 0, 10)
    assert letter.value == b"x" * 1001


def test_a_shard_that_fails_is_closed_too(
    runner: ShardRunner, log: WatchedLog, store: MemoryFeatures
) -> None:
    """The error reaches the caller; positions stay where the last checkpoint left them."""

    def refuse(view: object, rows: pa.Table) -> int:
        raise ConnectionError("the store is gone")

    store.write = refuse  # type: ignore[method-assign, assignment]
    send_event(log, "e1")
    with pytest.raises(ConnectionError, match="the store is gone"):
        runner.run([EVENTS], lambda: None, AfterSteps(5))
    assert log.closed == ["writer", "reader"]
    progress = runner.checkpoints.progress(EVENTS)
    assert progress is not None
    assert progress.next_offset == 0


def test_a_shard_reads_one_topic(runner: ShardRunner) -> None:
    """Partitions of two topics would need two codecs."""
    with pytest.raises(ValueError, match="unpack"):
        runner.shard([EVENTS, ITEM_PARTITION])
