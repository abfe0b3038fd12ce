"""A log that was read: the events and items in it, and what had to be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import ITEM_SCHEMA
from reaseq.types import Column

BATCH_ROWS = 50_000


class EventLog(NamedTuple):
    """Events (EVENT_SCHEMA, by time) and items (ITEM_SCHEMA) of one source.

    `left_out` counts source rows that are no events, by reason.
    """

    events: pa.Table
    items: pa.Table
    left_out: Mapping[str, int]

    def between(self, start_ms: int | None, end_ms: int | None) -> pa.Table:
        """The events with `start_ms <= event_time_ms < end_ms`."""
        times = self.events["event_time_ms"]
        keep = pc.is_valid(times)
        if start_ms is not None:
            keep = pc.and_(keep, pc.greater_equal(times, start_ms))
        if end_ms is not None:
            keep = pc.and_(keep, pc.less(times, end_ms))
        return self.events.filter(keep)

    def batches(
        self, start_ms: int | None = None, end_ms: int | None = None, num_users: int | None = None
    ) -> Iterator[pa.Table]:
        """What `between` gives, a batch at a time; `num_users`: of the busiest users only."""
        log = self if num_users is None else self.of_users(num_users)
        for batch in log.between(start_ms, end_ms).to_batches(max_chunksize=BATCH_ROWS):
            yield pa.Table.from_batches([batch])

    def item_batches(self) -> Iterator[pa.Table]:
        """The items, as one batch."""
        yield self.items

    def of_users(self, num_users: int) -> EventLog:
        """This log with the events of its `num_users` busiest users only."""
        counts = self.events["user_id"].value_counts()
        busiest = sorted(counts.to_pylist(), key=lambda row: (-row["counts"], row["values"]))
        users = pa.array([row["values"] for row in busiest[:num_users]], pa.string())
        return self._replace(events=self.events.filter(pc.is_in(self.events["user_id"], users)))


def items_of(item_ids: Column, titles: Column, prices: Column, times_ms: Column) -> pa.Table:
    """One description an item: its latest title and price, dated when it was first seen.

    Arguments are columns of source rows ordered by time. An item without any title is called by its
    id. Returns ITEM_SCHEMA.
    """
    latest: dict[str, dict[str, object]] = {}
    rows = zip(
        item_ids.to_pylist(),
        titles.to_pylist(),
        prices.to_pylist(),
        times_ms.to_pylist(),
        strict=True,
    )
    for item_id, title, price, time_ms in rows:
        item = latest.setdefault(
            item_id, {"item_id": item_id, "title": item_id, "price": None, "event_time_ms": time_ms}
        )
        if title and title.strip():
            item["title"] = title.strip()
        if price:
            item["price"] = price
    return pa.Table.from_pylist(
        sorted(latest.values(), key=lambda item: str(item["item_id"])), schema=ITEM_SCHEMA
    )
