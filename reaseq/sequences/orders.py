"""Orders: what a user bought at one moment, the targets of one ranking.

A basket of twenty items is one decision, so it is predicted by one ranking that has seen none of
it. Splitting it into twenty steps would let nineteen of them peek at the rest of the basket.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.schemas import ORDER_SCHEMA
from reaseq.types import Column, Int64s


def purchases_of(events: pa.Table) -> pa.Table:
    """The purchases among `events` (EVENT_SCHEMA)."""
    return events.filter(pc.equal(events["event_type"], EventType.PURCHASE.value))


class Sold(NamedTuple):
    """An item and how often it was bought."""

    item_id: str
    num_purchases: int


def best_sellers(events: pa.Table, num: int | None = None) -> list[Sold]:
    """The items most often bought in `events` (EVENT_SCHEMA), the best first; equal ones by id.

    At most `num`, or all that were ever bought.
    """
    counts = purchases_of(events)["item_id"].value_counts().to_pylist()
    sold = [Sold(row["values"], row["counts"]) for row in counts]
    return sorted(sold, key=lambda item: (-item.num_purchases, item.item_id))[:num]


def orders_of(events: pa.Table) -> pa.Table:
    """The orders in `events` (EVENT_SCHEMA) as ORDER_SCHEMA, ordered by `(time, user_id)`.

    An order is the distinct items that one user purchased at one `event_time_ms`; its items are
    sorted by id. Other event types make no order: a return is never a target. The events of an
    order must all be in the table, or it comes out incomplete.
    """
    purchases = purchases_of(events).select(["event_time_ms", "user_id", "item_id"])
    distinct = purchases.group_by(purchases.column_names).aggregate([])
    distinct = distinct.sort_by([(name, "ascending") for name in distinct.column_names])
    starts = _starts(distinct)
    offsets = pa.array(np.append(starts, distinct.num_rows), pa.int32())
    item_ids = distinct["item_id"].combine_chunks().cast(pa.string())
    first = distinct.take(pa.array(starts, pa.int64()))
    columns: list[Column] = [
        first["user_id"],
        first["event_time_ms"],
        pa.ListArray.from_arrays(offsets, item_ids),
    ]
    return pa.table(columns, schema=ORDER_SCHEMA)


def _starts(sorted_rows: pa.Table) -> Int64s:
    """The positions at which a new `(event_time_ms, user_id)` begins."""
    if not sorted_rows.num_rows:
        return np.zeros(0, np.int64)
    times = sorted_rows["event_time_ms"].to_numpy()
    users = sorted_rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    changes = (times[1:] != times[:-1]) | (users[1:] != users[:-1])
    return np.append(0, np.flatnonzero(changes) + 1)
