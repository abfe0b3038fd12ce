"""What was bought most, counted from the events that are kept."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType


class EventHistory(Protocol):
    """The events that the shards have taken in; `EventArchive` in production."""

    def read(self) -> pa.Table:
        """Distinct events (EVENT_SCHEMA), by time."""


class BestSeller(NamedTuple):
    """An item and how often it was bought."""

    item_id: str
    num_purchases: int


def best_sellers(history: EventHistory, num: int) -> list[BestSeller]:
    """The `num` most purchased items, the best first; equal ones by their id."""
    events = history.read()
    bought = events.filter(pc.equal(events["event_type"], EventType.PURCHASE.value))
    counts = bought["item_id"].value_counts().to_pylist()
    best = sorted(counts, key=lambda row: (-row["counts"], row["values"]))[:num]
    return [BestSeller(row["values"], row["counts"]) for row in best]
