"""What the generator learns to fill in."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.generator.targets import TARGETS_SCHEMA, with_targets
from reaseq.schemas import TRAINING_SCHEMA
from tests.unit.reaseq.generator.world import row

Order = tuple[str, int, list[str], list[str]]


def table(*orders: Order) -> pa.Table:
    """(user, time, log, bought) each."""
    rows = [
        {**row(user, log), "label_time_ms": 10**9 + at, "label_item_ids": bought}
        for user, at, log, bought in orders
    ]
    return pa.Table.from_pylist(rows, schema=TRAINING_SCHEMA)


def targets(*orders: Order, num: int = 3) -> list[tuple[list[str], list[int]]]:
    """The targets of each row and how many orders later they are bought."""
    found = with_targets(table(*orders), num)
    return list(
        zip(found["target_item_ids"].to_pylist(), found["target_orders"].to_pylist(), strict=True)
    )


def test_what_the_log_holds_is_no_target() -> None:
    """The generator goes beyond the log; an order of old items alone has no target."""
    assert targets(("ann", 1, ["tea"], ["tea", "cup"])) == [(["cup"], [0])]
    assert targets(("ann", 1, ["tea"], ["tea"])) == [([], [])]


def test_following_orders_are_gone_through_until_there_are_enough() -> None:
    """The last one as a whole; what was counted before does not count again."""
    found = targets(
        ("ann", 1, [], ["a"]),
        ("ann", 2, ["a"], ["a", "b", "c", "d"]),
        ("ann", 3, ["a", "b", "c", "d"], ["e"]),
    )
    assert found[0] == (["a", "b", "c", "d"], [0, 1, 1, 1])
    assert found[1] == (["b", "c", "d"], [0, 0, 0])
    assert found[2] == (["e"], [0])


def test_users_and_times_are_kept_apart() -> None:
    """Rows in any order; the orders of others are nobody's targets."""
    found = targets(("ann", 5, [], ["late"]), ("bob", 3, [], ["his"]), ("ann", 1, [], ["early"]))
    assert found == [(["late"], [0]), (["his"], [0]), (["early", "late"], [0, 1])]


any_orders = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 20),
        st.lists(st.sampled_from("abcde"), max_size=3, unique=True),
        st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4, unique=True),
    ),
    max_size=6,
)


@given(any_orders, st.integers(1, 5))
def test_targets_are_distinct_unlogged_and_by_distance(orders: list[Order], num: int) -> None:
    """Whatever the log; the other columns stay as they were."""
    rows = table(*orders)
    found = with_targets(rows, num)
    assert found.select(TRAINING_SCHEMA.names).equals(rows)
    assert found.select(TARGETS_SCHEMA.names).schema.equals(TARGETS_SCHEMA)
    for one in found.to_pylist():
        items, distances = one["target_item_ids"], one["target_orders"]
        assert len(set(items)) == len(items) == len(distances)
        assert not set(items) & set(one["item_ids"])
        assert distances == sorted(distances)
