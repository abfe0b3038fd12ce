"""`reaseq.sequences.orders`."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.orders import best_sellers, orders_of

Row = tuple[str, str, str, int]


def events_of(rows: list[Row]) -> pa.Table:
    """Events from (user, item, type, time)."""
    names = ["user_id", "item_id", "event_type", "event_time_ms"]
    records = [
        dict(zip(names, row, strict=True)) | {"event_id": str(i), "value": None}
        for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=EVENT_SCHEMA)


def test_an_order_is_what_one_user_bought_at_one_moment() -> None:
    """Items are distinct and sorted; returns and views make no order; orders follow time."""
    events = events_of(
        [
            ("u2", "b", "purchase", 20),
            ("u1", "z", "purchase", 20),
            ("u1", "a", "purchase", 20),
            ("u1", "a", "purchase", 20),
            ("u1", "c", "return", 20),
            ("u1", "d", "view", 30),
            ("u1", "a", "purchase", 10),
        ]
    )
    assert orders_of(events).to_pylist() == [
        {"user_id": "u1", "label_time_ms": 10, "label_item_ids": ["a"]},
        {"user_id": "u1", "label_time_ms": 20, "label_item_ids": ["a", "z"]},
        {"user_id": "u2", "label_time_ms": 20, "label_item_ids": ["b"]},
    ]


def test_no_purchases_make_no_orders() -> None:
    """An empty result still has its columns."""
    assert orders_of(events_of([("u", "a", "return", 1)])).num_rows == 0
    assert orders_of(EVENT_SCHEMA.empty_table()).num_rows == 0


rows = st.tuples(
    st.sampled_from("uv"),
    st.sampled_from("abc"),
    st.sampled_from(["purchase", "return"]),
    st.integers(0, 3),
)


@given(st.lists(rows, max_size=15), st.randoms())
def test_orders_do_not_depend_on_the_order_of_events(made: list[Row], random: object) -> None:
    """Shuffled events make the same orders, and every distinct purchase is in exactly one."""
    shuffled = list(made)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    orders = orders_of(events_of(made))
    assert orders.equals(orders_of(events_of(shuffled)))
    found = [
        (order["user_id"], item, "purchase", order["label_time_ms"])
        for order in orders.to_pylist()
        for item in order["label_item_ids"]
    ]
    assert sorted(found) == sorted({row for row in made if row[2] == "purchase"})


def test_best_sellers_come_by_purchases_and_equal_ones_by_id() -> None:
    """Views and returns are not purchases; an item is counted once per purchase."""
    kinds = [("b", "purchase"), ("a", "purchase"), ("c", "purchase"), ("c", "purchase")]
    rows = [
        {
            "event_id": f"e{n}",
            "user_id": "u",
            "item_id": item,
            "event_type": kind,
            "event_time_ms": n,
            "value": None,
        }
        for n, (item, kind) in enumerate([*kinds, ("a", "view"), ("d", "return")])
    ]
    events = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
    assert best_sellers(events) == [("c", 2), ("a", 1), ("b", 1)]
    assert best_sellers(events, 1) == [("c", 2)]
