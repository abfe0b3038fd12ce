"""Delta tables in an object store: what holds in a folder holds there.

Skipped unless REASEQ_TEST_TABLES names an address that may be written to, e.g. s3://bucket/prefix,
with the credentials (and AWS_ENDPOINT_URL for another server than Amazon's) in the environment.
"""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from reaseq.feature_views import ITEMS
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA, ORDER_SCHEMA
from streams.feature_store.features import Features
from streams.offline.events import EventArchive, as_history
from streams.offline.tables import MAX_SMALL_FILES, Commit

ADDRESS = "REASEQ_TEST_TABLES"


@pytest.fixture
def tables() -> str:
    """An address of its own in the object store."""
    address = os.environ.get(ADDRESS)
    if not address:
        pytest.skip(f"no object store: set {ADDRESS} to an address like s3://bucket/prefix")
    return f"{address.rstrip('/')}/{uuid.uuid4().hex}"


@pytest.fixture
def features(tables: str, tmp_path: Path) -> Features:
    Features.apply(tmp_path, tables=tables)
    return Features.open(tmp_path)


def items(*versions: tuple[str, int]) -> pa.Table:
    """(item, time) each."""
    names = ("item_id", "event_time_ms")
    rows = [{"title": "tea", **dict(zip(names, version, strict=True))} for version in versions]
    return pa.Table.from_pylist(rows, schema=ITEM_SCHEMA)


def arrived(*made: tuple[str, int]) -> pa.Table:
    """(user, time) each."""
    rows = [
        {
            "event_id": f"{user}-{time_ms}",
            "user_id": user,
            "item_id": "tea",
            "event_type": "purchase",
            "event_time_ms": time_ms,
        }
        for user, time_ms in made
    ]
    return as_history(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))


def test_nothing_offline_is_left_in_the_home(features: Features, tmp_path: Path) -> None:
    """Nodes that share no folder share the tables."""
    features.append(ITEMS, items(("tea", 1)), Commit("run"))
    assert not (tmp_path / "data" / ITEMS.name).exists()
    assert Features.open(tmp_path).keys(ITEMS) == ["tea"]


def test_a_commit_counts_once(features: Features) -> None:
    """A shard that repeats a checkpoint after a crash."""
    for _ in range(3):
        features.append(ITEMS, items(("tea", 1), ("cup", 2)), Commit("shard", 7))
    features.append(ITEMS, items(("tea", 5)), Commit("shard", 8))
    assert features.table(ITEMS).num_rows() == 3
    assert features.newest(ITEMS)["event_time_ms"].to_pylist() == [2, 5]


def test_writers_at_once_lose_no_row(features: Features, tmp_path: Path) -> None:
    """Each with an object of its own; the store decides who comes first."""

    def write(name: str) -> None:
        own = Features.open(tmp_path)
        for number in range(8):
            own.append(ITEMS, items((name, number)), Commit(name, number))

    writers = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert features.table(ITEMS).num_rows() == 24
    assert features.newest(ITEMS)["event_time_ms"].to_pylist() == [7, 7, 7]


def test_compaction_keeps_every_row(features: Features) -> None:
    """And deletion takes out what it should."""
    for number in range(MAX_SMALL_FILES + 2):
        features.append(ITEMS, items(("tea", number)), Commit("run", number))
    assert features.table(ITEMS).compact()
    assert features.table(ITEMS).num_rows() == MAX_SMALL_FILES + 2
    assert features.newest(ITEMS)["event_time_ms"].to_pylist() == [MAX_SMALL_FILES + 1]


def test_training_rows_see_only_the_past(features: Features, tables: str) -> None:
    """Computed from the events, through Feast."""
    EventArchive(f"{tables}/events").append(arrived(("ann", 10), ("ann", 20)), Commit("run"))
    orders = [
        {"user_id": "ann", "label_time_ms": at, "label_item_ids": ["cup"]} for at in (10, 11, 21)
    ]
    rows = features.training_rows(pa.Table.from_pylist(orders, schema=ORDER_SCHEMA))
    assert [len(keys) for keys in rows["event_keys"].to_pylist()] == [0, 1, 2]


def test_events_are_read_each_once(tables: str) -> None:
    """However often they were appended."""
    archive = EventArchive(f"{tables}/events")
    archive.append(arrived(("ann", 2), ("bob", 1)), Commit("a"))
    archive.append(arrived(("ann", 2)), Commit("b"))
    assert archive.read()["user_id"].to_pylist() == ["bob", "ann"]
