"""A log can be cut by time and by users; items are described by the latest that is known."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reaseq.datasets.event_log import EventLog, items_of
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

USERS = ["ann", "bob", "ann", "cid", "bob", "ann"]


@pytest.fixture
def log() -> EventLog:
    rows = [
        {
            "event_id": f"e{number}",
            "user_id": user,
            "item_id": "mug",
            "event_type": "view",
            "event_time_ms": 10 * number,
        }
        for number, user in enumerate(USERS)
    ]
    return EventLog(pa.Table.from_pylist(rows, EVENT_SCHEMA), ITEM_SCHEMA.empty_table(), {})


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "ids"),
    [
        (None, None, ["e0", "e1", "e2", "e3", "e4", "e5"]),
        (20, None, ["e2", "e3", "e4", "e5"]),
        (None, 20, ["e0", "e1"]),
        (20, 40, ["e2", "e3"]),
        (21, 22, []),
    ],
)
def test_the_start_belongs_to_a_span_and_the_end_does_not(
    log: EventLog, start_ms: int | None, end_ms: int | None, ids: list[str]
) -> None:
    """Spans that meet share no event and lose none."""
    assert log.between(start_ms, end_ms)["event_id"].to_pylist() == ids


@pytest.mark.parametrize(
    ("num_users", "users"), [(0, set()), (1, {"ann"}), (2, {"ann", "bob"}), (9, set(USERS))]
)
def test_the_busiest_users_keep_all_their_events(
    log: EventLog, num_users: int, users: set[str]
) -> None:
    """Fewer users, but each with a whole history, in order."""
    events = log.of_users(num_users).events
    assert events["user_id"].to_pylist() == [user for user in USERS if user in users]


def test_users_equally_busy_are_chosen_by_name() -> None:
    """The choice is the same on every machine."""
    rows = [
        {"event_id": u, "user_id": u, "item_id": "i", "event_type": "view", "event_time_ms": 0}
        for u in ("cid", "bob", "ann")
    ]
    log = EventLog(pa.Table.from_pylist(rows, EVENT_SCHEMA), ITEM_SCHEMA.empty_table(), {})
    assert log.of_users(2).events["user_id"].to_pylist() == ["bob", "ann"]


def test_an_item_keeps_its_latest_title_and_price_and_its_first_date() -> None:
    """Blank titles and missing prices never replace a known one; no title at all means the id."""
    items = items_of(
        pa.array(["mug", "jar", "mug", "mug", "mug"]),
        pa.array(["Mug", None, " Red mug ", "  ", None]),
        pa.array([1.0, None, 2.5, None, 0.0]),
        pa.array([10, 11, 12, 13, 14]),
    )
    assert items.schema == ITEM_SCHEMA
    assert [tuple(row.values()) for row in items.to_pylist()] == [
        ("jar", "jar", None, None, 11),
        ("mug", "Red mug", 2.5, None, 10),
    ]
