"""What the generator learns to fill in: the items a user buys next that the log does not hold."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

TARGETS_SCHEMA = pa.schema(
    [
        pa.field("target_item_ids", pa.list_(pa.string()), nullable=False),
        pa.field("target_orders", pa.list_(pa.int64()), nullable=False),
    ]
)
"""Beside a training row: its targets, and how many orders later each is bought (0: this order)."""


def with_targets(rows: pa.Table, num_targets: int) -> pa.Table:
    """Training rows (TRAINING_SCHEMA) with the columns of TARGETS_SCHEMA.

    The targets of a row are the distinct items of its order and of the same user's following orders
    in `rows` that are not in the row's sequence; following orders are gone through until there are
    `num_targets`, the last one as a whole. `rows` must be all there are: a part of them, as one of
    several workers gets it, lacks the orders that follow.
    """
    logged = rows["item_ids"].to_pylist()
    orders = rows["label_item_ids"].to_pylist()
    targets: list[dict[str, list[object]]] = [{} for _ in orders]
    for in_time in _rows_by_user(rows).values():
        for place, row in enumerate(in_time):
            following = [orders[later] for later in in_time[place : place + num_targets]]
            targets[row] = _targets(set(logged[row] or ()), following, num_targets)
    table = pa.Table.from_pylist(targets, schema=TARGETS_SCHEMA)
    for field in TARGETS_SCHEMA:
        rows = rows.append_column(field, table[field.name])
    return rows


def _rows_by_user(rows: pa.Table) -> dict[str, list[int]]:
    """The row numbers of each user, in the order of time."""
    in_time = rows["label_time_ms"].to_numpy().argsort(kind="stable").tolist()
    users = rows["user_id"].to_pylist()
    by_user: dict[str, list[int]] = defaultdict(list)
    for row in in_time:
        by_user[users[row]].append(row)
    return by_user


def _targets(
    logged: set[str], orders: list[list[str]], num_targets: int
) -> dict[str, list[object]]:
    """`logged` is used up."""
    item_ids: list[object] = []
    distances: list[object] = []
    for distance, order in enumerate(orders):
        for item_id in order:
            if item_id not in logged:
                logged.add(item_id)
                item_ids.append(item_id)
                distances.append(distance)
        if len(item_ids) >= num_targets:
            break
    return {"target_item_ids": item_ids, "target_orders": distances}
