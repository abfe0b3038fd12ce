"""Blocks hold every event once, in order, and let no order's user act before it."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.evaluation.blocks import blocks_of
from reaseq.schemas import EVENT_SCHEMA

streams = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["purchase", "return"]), st.integers(0, 12)),
    max_size=30,
).map(lambda rows: sorted(rows, key=lambda row: row[2]))


def table(rows: list[tuple[str, str, int]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "event_id": str(number),
                "user_id": user,
                "item_id": "i",
                "event_type": kind,
                "event_time_ms": time_ms,
            }
            for number, (user, kind, time_ms) in enumerate(rows)
        ],
        schema=EVENT_SCHEMA,
    )


@given(rows=streams, max_orders=st.integers(1, 4))
def test_blocks_partition_the_stream_and_never_peek(
    rows: list[tuple[str, str, int]], max_orders: int
) -> None:
    """All events in order; no moment split; before an order its user does nothing in the block."""
    blocks = [block.to_pylist() for block in blocks_of(table(rows), max_orders)]
    assert [row["event_id"] for block in blocks for row in block] == [
        str(number) for number in range(len(rows))
    ]
    times = [{row["event_time_ms"] for row in block} for block in blocks]
    assert all(not a & b for i, a in enumerate(times) for b in times[i + 1 :])
    for block in blocks:
        orders = {
            (r["user_id"], r["event_time_ms"]) for r in block if r["event_type"] == "purchase"
        }
        assert len(orders) <= max_orders or len({r["event_time_ms"] for r in block}) == 1
        for user, time_ms in orders:
            assert not any(r["user_id"] == user and r["event_time_ms"] < time_ms for r in block)


def test_a_quiet_stream_of_different_users_is_one_block() -> None:
    """Nothing is cut that need not be."""
    rows = [(user, "purchase", time_ms) for time_ms, user in enumerate("abcd")]
    assert len(list(blocks_of(table(rows), 10))) == 1
    assert len(list(blocks_of(table(rows), 2))) == 2
