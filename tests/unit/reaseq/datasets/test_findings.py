"""What looks odd in a log is said in a sentence, with an example."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reaseq.datasets.stored_log import StoredLog

OpenText = Callable[..., StoredLog]
HEADER = "user_id,item_id,event_time\n"


def test_ids_shared_by_different_events_are_reported(open_text: OpenText) -> None:
    """An order number is not the id of its lines; the same row twice is the same event."""
    text = "order_id,user_id,item_id,event_time\n"
    lines = "o1,ann,mug,2020-01-01\no1,ann,jar,2020-01-01\no2,bob,cup,2020-01-02\n"
    (note,) = open_text(text + lines, "event_id=order_id").report().notes
    assert note.startswith("event_id: 2 of 3 events share an id with another one, for example 'o1'")
    twice = "o3,ann,mug,2020-01-01\n" * 2
    assert open_text(text + twice, "event_id=order_id").report().notes == ()


@pytest.mark.parametrize(
    ("num_busy", "num_users", "is_named"),
    [(1001, 100, True), (1000, 100, False), (1001, 20, False), (1001, 30_000, False)],
)
def test_a_user_with_an_unlikely_share_is_named(
    open_text: OpenText, num_busy: int, num_users: int, is_named: bool
) -> None:
    """More than 1,000 events and 5% of a log of at least 100 users."""
    rows = num_busy * "nobody,i,2020-01-01\n"
    rows += "".join(f"u{n},i,2020-01-01\n" for n in range(num_users - 1))
    notes = open_text(HEADER + rows).report().notes
    assert [note.partition(" of the")[0] for note in notes] == (
        ["user 'nobody' has 1,001"] if is_named else []
    )


def test_broken_lines_are_counted_by_kind_with_the_first_of_each(open_text: OpenText) -> None:
    """The example says where to look."""
    text = "a,i,2020-01-01\nb,i\nc,i\nd,i,2020-01-01,more\n"
    found = open_text(HEADER + text).report().left_out
    assert [(one.reason, one.count, one.example) for one in found] == [
        ("broken line (missing columns)", 2, "events.csv line 3: 'b,i'"),
        ("broken line (too many columns)", 1, "events.csv line 5: 'd,i,2020-01-01,more'"),
    ]


def test_an_encoding_that_was_guessed_is_said(open_text: OpenText) -> None:
    """The name of the file and of the encoding."""
    log = open_text(f"{HEADER}ann,groß,2020-01-01\n".encode("cp1252"))
    assert log.report().notes == ("events.csv is not UTF-8: read as cp1252",)
    assert log.read().events["item_id"].to_pylist() == ["groß"]
