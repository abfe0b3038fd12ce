"""An event is new once, in whatever portions events come."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.seen import PERIOD_MS, SeenEvents

names = st.text("ab", max_size=2)
portions = st.lists(st.lists(st.tuples(names, names), max_size=9), max_size=9)


def events_of(ids: list[tuple[str, str]], time_ms: int = 0) -> pa.Table:
    """Events by user and event id; the rest differs where the ids do not."""
    rows = [
        {
            "event_id": event_id,
            "user_id": user_id,
            "item_id": f"i{number}",
            "event_type": "purchase",
            "event_time_ms": time_ms + number,
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
    (keys,) = seen._periods.values()
    assert len(keys._pieces) <= 10
    assert not seen.are_new(events_of([("u", f"e{number}") for number in range(500)])).any()


def test_what_is_long_ago_is_forgotten() -> None:
    """A whole period at a time, once it is over."""
    seen = SeenEvents()
    old, new = events_of([("u", "old")], PERIOD_MS - 1), events_of([("u", "new")], PERIOD_MS)
    assert seen.are_new(pa.concat_tables([old, new])).tolist() == [True, True]
    seen.forget_before(PERIOD_MS - 1)
    assert len(seen) == 2
    seen.forget_before(PERIOD_MS)
    assert len(seen) == 1
    assert seen.are_new(new).tolist() == [False]
    assert seen.are_new(old).tolist() == [True]
