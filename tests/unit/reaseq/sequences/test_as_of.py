"""`reaseq.sequences.as_of`: what was known just before each order."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences import as_of
from reaseq.sequences.as_of import sequences_before, training_rows
from reaseq.sequences.oracle import newest_distinct_events
from reaseq.sequences.orders import orders_of

MAX_EVENTS = 3

kinds = st.sampled_from(["purchase", "purchase", "view", "return"])
histories = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), kinds, st.integers(1, 9)),
    max_size=30,
)


def events(rows: list[tuple[str, str, str, int]]) -> pa.Table:
    """Events from (user, item, type, time), each with an id of its own."""
    found = [
        dict(zip(EVENT_SCHEMA.names, [f"e{n}", user, item, kind, time, None], strict=True))
        for n, (user, item, kind, time) in enumerate(rows)
    ]
    return pa.Table.from_pylist(found, schema=EVENT_SCHEMA)


@given(rows=histories)
def test_every_order_has_the_sequence_of_the_events_before_it(
    rows: list[tuple[str, str, str, int]],
) -> None:
    """The oracle, asked with only the events before the order, holds the same."""
    log = events(rows)
    found = training_rows(log, MAX_EVENTS)
    assert found.schema == TRAINING_SCHEMA
    assert found.select(orders_of(log).column_names).equals(orders_of(log))
    for row in found.to_pylist():
        before = events([e for e in rows if e[3] < row["label_time_ms"]])
        ids = [f"e{n}" for n, e in enumerate(rows) if e[3] < row["label_time_ms"]]
        before = before.set_column(0, EVENT_SCHEMA.field("event_id"), pa.array(ids, pa.string()))
        held = newest_distinct_events(before, MAX_EVENTS).get(row["user_id"], [])
        assert row["event_keys"] == [event.event_key for event in held]
        assert row["item_ids"] == [event.item_id for event in held]


# In the order of arrival: few ids and times, so that late events, duplicates, second contents of an
# event and full windows all happen.
arrivals = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.integers(0, 9), st.sampled_from("xyz"), kinds, st.integers(1, 9)
    ),
    max_size=30,
)


def arrived(rows: Sequence[tuple[str, int, str, str, int]]) -> pa.Table:
    """Events from (user, id, item, type, time)."""
    found = [
        dict(zip(EVENT_SCHEMA.names, [f"e{number}", user, item, kind, time, None], strict=True))
        for user, number, item, kind, time in rows
    ]
    return pa.Table.from_pylist(found, schema=EVENT_SCHEMA)


@given(
    rows=arrivals,
    others=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10)), max_size=5),
)
def test_by_arrival_it_is_what_a_replay_of_the_log_holds(
    rows: list[tuple[str, int, str, str, int]], others: list[tuple[str, int]]
) -> None:
    """Up to the first purchase of the order, without what happened at its time or later.

    Labels that are no order among the events know everything that happened before them.
    """
    log = arrived(rows)
    asked = orders_of(log).to_pylist() + [
        {"user_id": user, "label_time_ms": time, "label_item_ids": []} for user, time in others
    ]
    labels = pa.Table.from_pylist(asked, schema=ORDER_SCHEMA)
    found = sequences_before(log, labels, MAX_EVENTS, by_arrival=True)
    assert found.schema == SEQUENCE_SCHEMA
    for label, row in zip(asked, found.to_pylist(), strict=True):
        user, time = label["user_id"], label["label_time_ms"]
        bought = [n for n, e in enumerate(rows) if (e[0], e[3], e[4]) == (user, "purchase", time)]
        known = [e for e in rows[: bought[0] if bought else None] if e[4] < time]
        held = newest_distinct_events(arrived(known), MAX_EVENTS).get(user, [])
        assert row["user_id"] == user
        assert row["event_keys"] == [event.event_key for event in held]
        assert row["item_ids"] == [event.item_id for event in held]
        assert row["event_times_ms"] == [event.event_time_ms for event in held]
        assert row["newest_event_time_ms"] == (held[-1].event_time_ms if held else 0)
        assert (row["revision"] > 0) == bool(held)


def test_many_labels_are_answered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's labels may fall into several."""
    log = arrived([("a", n, "x", "purchase", n + 1) for n in range(9)])
    whole = sequences_before(log, orders_of(log), MAX_EVENTS, by_arrival=True)
    monkeypatch.setattr(as_of, "MOMENTS_AT_ONCE", 2)
    parts = sequences_before(log, orders_of(log), MAX_EVENTS, by_arrival=True)
    assert repr(parts.to_pylist()) == repr(whole.to_pylist())
    assert [len(keys) for keys in whole["event_keys"].to_pylist()] == [0, 1, 2, 3, 3, 3, 3, 3, 3]


def test_labels_of_strangers_and_no_labels() -> None:
    """A stranger has done nothing; nothing asked is nothing found."""
    log = arrived([("a", 1, "x", "view", 1)])
    labels = pa.Table.from_pylist(
        [{"user_id": "b", "label_time_ms": 5, "label_item_ids": []}], schema=ORDER_SCHEMA
    )
    for by_arrival in (False, True):
        (row,) = sequences_before(log, labels, by_arrival=by_arrival).to_pylist()
        assert (row["user_id"], row["item_ids"], row["revision"]) == ("b", [], 0)
        nothing = sequences_before(log, labels.slice(1), by_arrival=by_arrival)
        assert nothing.equals(SEQUENCE_SCHEMA.empty_table())


def test_without_orders_there_are_no_rows() -> None:
    """Views alone teach nothing to rank."""
    assert training_rows(events([("a", "x", "view", 1)])).num_rows == 0
    assert training_rows(EVENT_SCHEMA.empty_table()).num_rows == 0
