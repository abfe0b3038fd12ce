"""`reaseq.sequences.as_of`: what was known just before each order."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences import as_of
from reaseq.sequences.as_of import training_rows
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


def test_a_cut_between_events_of_one_time_shows_no_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk may end inside a basket; the next order still sees all of it."""
    monkeypatch.setattr(as_of, "CHUNK_EVENTS", 2)
    basket = [("a", item, "purchase", 5) for item in "xyz"]
    found = training_rows(events([*basket, ("a", "x", "purchase", 7)]), MAX_EVENTS)
    assert [len(row) for row in found["item_ids"].to_pylist()] == [0, 3]


def test_without_orders_there_are_no_rows() -> None:
    """Views alone teach nothing to rank."""
    assert training_rows(events([("a", "x", "view", 1)])).num_rows == 0
    assert training_rows(EVENT_SCHEMA.empty_table()).num_rows == 0
