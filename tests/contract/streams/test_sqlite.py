"""What is SQLite's own in the online store: what is on the disk, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reaseq.feature_views import ITEMS
from reaseq.schemas import ITEM_SCHEMA
from streams.feature_store.features import Features

NOW_MS = 1_700_000_000_123


@pytest.fixture
def features(tmp_path: Path) -> Features:
    """An empty feature store on SQLite."""
    Features.apply(tmp_path)
    return Features.open(tmp_path)


def connection_of(features: Features) -> Any:
    """The calling thread's connection to the online store."""
    online: Any = features._online
    return online._get_conn(features._store.config)


def item(title: str, event_time_ms: int = NOW_MS) -> pa.Table:
    """An item at a moment."""
    row = {"item_id": "i", "title": title, "price": 1.5, "description": "green"}
    return pa.Table.from_pylist([row | {"event_time_ms": event_time_ms}], ITEM_SCHEMA)


def test_a_sync_is_a_commit_that_waits_for_the_disk(features: Features) -> None:
    """SQLite waits when a commit with content ends in the mode FULL, and not in NORMAL."""
    features.write(ITEMS, item("Tea"))
    connection = connection_of(features)
    log = features.home / "data" / "online.db-wal"
    commits: list[tuple[int, int]] = []

    def trace(statement: str) -> None:
        if statement == "COMMIT":
            with_mode = connection.execute("PRAGMA synchronous").fetchone()[0]
            commits.append((with_mode, log.stat().st_size))

    connection.set_trace_callback(trace)
    features.sync()
    connection.set_trace_callback(None)
    [(mode, size)] = commits
    assert mode == 2, "FULL"
    assert log.stat().st_size > size, "an empty commit would not reach the disk"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1, "NORMAL again"


def test_a_sync_that_fails_leaves_writes_cheap(features: Features) -> None:
    """Another writer holds the file for too long: the error is told, the mode is as before."""
    connection = connection_of(features)
    connection.execute("PRAGMA busy_timeout = 1")
    online: Any = Features.open(features.home)._online
    other = online._get_conn(features._store.config)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="locked"):
        features.sync()
    other.execute("ROLLBACK")
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    features.sync()


def test_a_batch_is_written_whole_or_not_at_all(features: Features) -> None:
    """Hundreds of rows, the last of which SQLite refuses: nothing of the others is seen."""
    connection = connection_of(features)
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON reaseq_item_catalogue WHEN new.value_text = 'bad'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    good = item("good").take([0] * 999)
    ids = pa.array([f"i{place}" for place in range(999)])
    rows = pa.concat_tables([good.set_column(0, ITEM_SCHEMA.field(0), ids), item("bad")])
    with pytest.raises(Exception, match="refused"):
        features.write(ITEMS, rows)
    assert features.known(ITEMS, [*ids.to_pylist(), "i"]) == []
    assert features.write(ITEMS, rows.slice(0, 999)) == 999
