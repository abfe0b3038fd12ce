"""What looks odd in a log is said in a sentence, with an example."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reaseq.datasets.stored_log import StoredLog

OpenText = Callable[..., StoredLog]
HEADER = "user_id,item_id,event_time\n"


ORDERS = "order_id,user_id,item_id,event_time,value\n"


@pytest.mark.parametrize(
    ("rows", "num", "example"),
    [
        (
            "o1,ann,mug,2020-01-01,1\no1,ann,jar,2020-01-01,\no2,bob,cup,2020-01-02,2\n",
            "2 of 3",
            "'o1' of user 'ann': purchase of 'mug' for 1 at 2020-01-01T00:00:00Z and purchase of "
            "'jar' at 2020-01-01T00:00:00Z",
        ),
        (
            "o2,bob,cup,2020-01-02,0\no1,ann,mug,2020-01-01,1\no2,bob,cup,2020-01-02,\n"
            "o1,ann,mug,2020-01-03,1\no1,ann,mug,2020-01-03,1\n",
            "5 of 5",
            "'o2' of user 'bob': purchase of 'cup' for 0 at 2020-01-02T00:00:00Z and purchase of "
            "'cup' at 2020-01-02T00:00:00Z",
        ),
    ],
)
def test_ids_shared_by_different_content_are_reported(
    open_text: OpenText, rows: str, num: str, example: str
) -> None:
    """An order number is not the id of its lines: how many rows, the first of them, what to do."""
    (note,) = open_text(ORDERS + rows, "event_id=order_id").report().notes
    assert note.startswith(
        f"event_id: {num} rows share an id with other content: is it an order number? "
        f"For example {example}."
    )
    told = "event_id=to_json([order_id, item_id, event_time, value])"
    assert told.partition(",")[0].replace("order_id", "ORDER") in note
    log = open_text(ORDERS + rows, told)
    assert log.report().notes == ()
    assert len({*log.read().events["event_id"].to_pylist()}) == len({*rows.splitlines()})


def test_ids_that_name_one_event_each_are_not_reported(open_text: OpenText) -> None:
    """An id is the user's own: a source may count per user, and send a row twice."""
    rows = "1,ann,mug,2020-01-01,1\n1,bob,jar,2020-01-02,2\n2,ann,cup,2020-01-03,\n"
    assert open_text(ORDERS + rows + rows, "event_id=order_id").report().notes == ()


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
