"""A replay puts a table into the log row by row, so that each key keeps its order."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec, item_codec
from streams.log.memory import MemoryLog
from streams.log.ports import LogError, LogWriter, Partition, RecordBatch, Topic
from streams.log.replay import FLUSH_EVERY, replay


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic("events", 3), Topic("items", 1)])
    return log


def make_events(num_events: int) -> pa.Table:
    rng = random.Random(1)
    rows = [
        {
            "event_id": f"e{number}",
            "user_id": f"u{rng.randrange(20)}ü",
            "item_id": "mug",
            "event_type": "view",
            "event_time_ms": rng.randrange(10_000),
            "value": rng.choice([None, 2.5]),
        }
        for number in range(num_events)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def test_every_row_arrives_and_each_user_in_order(log: MemoryLog) -> None:
    """Decoded again, a user's events lie in one partition in the order of the table."""
    events = make_events(300)
    codec = event_codec(10_000)
    assert replay(events, "user_id", "events", codec, log.writer()) == 300
    found: dict[str, list[str]] = {}
    homes: dict[str, set[Partition]] = {}
    for partition in log.partitions("events"):
        records = log.read(partition, 0, 1000)
        decoded = codec.decode(RecordBatch.from_records(partition, records, 0).values)
        assert decoded.rejects == []
        for record, row in zip(records, decoded.table.to_pylist(), strict=True):
            assert record.key == row["user_id"].encode()
            found.setdefault(row["user_id"], []).append(row["event_id"])
            homes.setdefault(row["user_id"], set()).add(partition)
    expected: dict[str, list[str]] = {}
    for row in events.to_pylist():
        expected.setdefault(row["user_id"], []).append(row["event_id"])
    assert found == expected
    assert {len(partitions) for partitions in homes.values()} == {1}


@pytest.mark.parametrize("num_events", [0, 5, FLUSH_EVERY, 2 * FLUSH_EVERY + 1])
def test_progress_adds_up_to_the_rows(log: MemoryLog, num_events: int) -> None:
    """Reported in pieces, the number sent is the number of rows, also at the edges."""
    events = make_events(1).take([0] * num_events) if num_events else EVENT_SCHEMA.empty_table()
    reported: list[int] = []
    replay(events, "user_id", "events", event_codec(10_000), log.writer(), reported.append)
    assert sum(reported) == num_events
    assert sum(log.end_offset(partition) for partition in log.partitions("events")) == num_events


def test_items_are_replayed_by_their_own_key(log: MemoryLog) -> None:
    """The catalogue goes the same way as the events."""
    items = pa.Table.from_pylist(
        [{"item_id": "mug", "title": "Mug", "event_time_ms": 5}], schema=ITEM_SCHEMA
    )
    codec = item_codec(10_000)
    replay(items, "item_id", "items", codec, log.writer())
    (record,) = log.read(Partition("items", 0), 0, 10)
    assert record.key == b"mug"
    assert codec.decode(ByteSlices.of([record.value])).table.equals(items)


class HoldingWriter:
    """A writer that gives up its records only when flushed, and may refuse then."""

    def __init__(self, takes: int) -> None:
        self.held = 0
        self.acknowledged = 0
        self._takes = takes

    def send(self, topic: str, value: bytes, key: bytes | None, headers: object = ()) -> None:
        self.held += 1

    def flush(self) -> None:
        if self.acknowledged + self.held > self._takes:
            raise LogError("the broker did not take a record")
        self.acknowledged, self.held = self.acknowledged + self.held, 0

    def close(self) -> None:
        """Nothing to let go."""


def test_all_rows_are_acknowledged_when_it_returns() -> None:
    """The last records are waited for, not only those of whole blocks."""
    writer = HoldingWriter(takes=10**9)
    checked: LogWriter = writer
    replay(make_events(7), "user_id", "events", event_codec(10_000), checked)
    assert (writer.acknowledged, writer.held) == (7, 0)


def test_a_record_the_log_refuses_is_no_success() -> None:
    """The caller hears of it instead of a count."""
    with pytest.raises(LogError):
        replay(make_events(7), "user_id", "events", event_codec(10_000), HoldingWriter(takes=6))
