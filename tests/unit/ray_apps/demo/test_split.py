"""`ray_apps.demo.split`: how a log is cut into a run."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ray_apps.demo.split import DemoSplit
from reaseq.datasets.event_log import EventLog
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

TITLES = {
    "red-mug": "RED MUG WITH LID",
    "blue-mug": "BLUE MUG WITH LID",
    "clock": "GRANDFATHER CLOCK",
    "plate": "PLATE",
}


def log_of(bought: list[str]) -> EventLog:
    """One purchase a millisecond."""
    events = [
        {
            "event_id": str(time_ms),
            "user_id": "u",
            "item_id": item_id,
            "event_type": "purchase",
            "event_time_ms": time_ms,
        }
        for time_ms, item_id in enumerate(bought)
    ]
    items = [{"item_id": i, "title": t, "event_time_ms": 0} for i, t in TITLES.items()]
    return EventLog(
        pa.Table.from_pylist(events, schema=EVENT_SCHEMA),
        pa.Table.from_pylist(items, schema=ITEM_SCHEMA),
        {},
    )


def test_the_late_item_is_new_and_like_something_known() -> None:
    """The clock sells better, but nothing like it was ever bought."""
    log = log_of(["red-mug", "plate", "plate", "plate", "clock", "clock", "blue-mug", "red-mug"])
    split = DemoSplit.of(log, split_ms=1)
    assert split.late_item is not None
    assert split.late_item["item_id"] == "blue-mug"
    assert "blue-mug" not in split.first_items["item_id"].to_pylist()
    assert split.first_items.num_rows == len(TITLES) - 1
    assert split.everything.num_rows == log.events.num_rows


def test_without_such_an_item_the_catalogue_is_whole() -> None:
    """Then nothing arrives late."""
    split = DemoSplit.of(log_of(["plate", "plate", "clock", "clock"]), split_ms=1)
    assert split.late_item is None
    assert split.first_items.num_rows == len(TITLES)


def test_a_log_without_a_past_is_refused() -> None:
    """There is nothing to learn from."""
    with pytest.raises(ValueError, match="before and after"):
        DemoSplit.of(log_of(["plate", "clock"]), split_ms=0)
