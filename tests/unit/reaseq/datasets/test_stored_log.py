"""A stored log is handed over in batches that together are the log."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from reaseq.datasets.stored_log import StoredLog
from reaseq.schemas import EVENT_SCHEMA

OpenText = Callable[..., StoredLog]
USERS = ["ann", "bob", "ann", "cid", "bob", "ann"]
DAY_MS = 24 * 3600 * 1000
FIRST_MS = 1_577_836_800_000


@pytest.fixture
def log(open_text: OpenText) -> StoredLog:
    rows = "".join(f"{user},i{n},2020-01-0{n + 1}\n" for n, user in enumerate(USERS))
    return open_text(f"user_id,item_id,event_time\n{rows}")


def test_batches_are_the_log_by_time(log: StoredLog) -> None:
    """Of the size asked for, each with the schema, also while another reading is under way."""
    batches, other = log.batches(batch_rows=4), log.batches()
    first = next(batches)
    assert pa.concat_tables([first, *batches]).equals(next(other)) is True
    assert first.schema == EVENT_SCHEMA
    assert log.num_events == len(USERS)
    assert log.num_items == 6


@pytest.mark.parametrize(
    ("start", "end", "num_users", "items"),
    [
        (None, 2, None, ["i0", "i1"]),
        (2, None, None, ["i2", "i3", "i4", "i5"]),
        (2, 4, None, ["i2", "i3"]),
        (None, None, 1, ["i0", "i2", "i5"]),
        (1, None, 2, ["i1", "i2", "i4", "i5"]),
        (9, None, None, []),
    ],
)
def test_a_part_is_chosen_as_from_a_log_in_memory(
    log: StoredLog, start: int | None, end: int | None, num_users: int | None, items: list[str]
) -> None:
    """The start belongs to it, the end does not; users are chosen by all their events."""
    span = [None if day is None else FIRST_MS + day * DAY_MS for day in (start, end)]
    for source in (log, log.read()):
        found = [row for batch in source.batches(*span, num_users) for row in batch.to_pylist()]
        assert [row["item_id"] for row in found] == items


def test_the_preview_shows_what_was_taken_and_the_first_three(log: StoredLog) -> None:
    """By time, as they will be sent."""
    preview = log.preview()
    assert preview.taken == {"user_id": "user_id", "item_id": "item_id", "event_time": "event_time"}
    assert [example["item_id"] for example in preview.examples] == ["i0", "i1", "i2"]
    assert preview.examples[0]["event_time_ms"] == FIRST_MS
    assert (preview.num_events, preview.taken_for_items) == (6, {})


def test_a_small_memory_limit_spills_to_disk(open_text: OpenText) -> None:
    """Sorting more than fits is slower, not impossible."""
    rows = "".join(f"u{n},{n * 7919 % 90_001:0200d},{1_500_000_000 + n}\n" for n in range(90_000))
    log = open_text(f"user_id,item_id,event_time\n{rows}", memory_limit="60MB")
    assert sum(batch.num_rows for batch in log.batches()) == 90_000
