"""An event is new once, in whatever portions events come."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.seen import SeenEvents

names = st.text("ab", max_size=2)
portions = st.lists(st.lists(st.tuples(names, names), max_size=9), max_size=9)


def events_of(ids: list[tuple[str, str]]) -> pa.Table:
    """Events by user and event id; the rest differs where the ids do not."""
    rows = [
        {
            "event_id": event_id,
            "user_id": user_id,
            "item_id": f"i{number}",
            "event_type": "purchase",
            "event_time_ms": number,
            "value": None,
        }
        for number, (user_id, event_id) in enumerate(ids)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


@given(portions)
def test_an_event_is_new_once(ids: list[list[tuple[str, str]]]) -> None:
    """As a set of pairs has it: ids that run together with their users are two events."""
    seen, known = SeenEvents(), set()
    for some in ids:
        expected = []
        for one in some:
            expected.append(one not in known)
            known.add(one)
        assert seen.are_new(events_of(some)).tolist() == expected
    assert len(seen) == len(known)


def test_many_portions_are_kept_in_few_pieces() -> None:
    """So looking takes no longer the more there are, but for a logarithm."""
    seen = SeenEvents()
    for number in range(500):
        assert seen.are_new(events_of([("u", f"e{number}"), ("v", f"e{number}")])).all()
    assert len(seen) == 1000
    assert len(seen._pieces) <= 10
    assert not seen.are_new(events_of([("u", f"e{number}") for number in range(500)])).any()
