"""The demo's log, cut in time and with one item held back to arrive late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.demo.report import day
from reaseq.datasets.event_log import EventLog
from reaseq.events import EventType


@dataclass(frozen=True)
class Chapters:
    """The log cut in time: what is history, and the two halves that are streamed."""

    log: EventLog
    history: pa.Table
    first: pa.Table
    second: pa.Table
    late_item: dict[str, Any] | None
    """An item (ITEM_SCHEMA) first sold in the second half: it joins the catalogue just before."""

    @classmethod
    def of(cls, log: EventLog, split_ms: int) -> Chapters:
        """History before `split_ms`; the rest halved by number of events, not within a moment."""
        rest = log.between(split_ms, None)
        if not rest.num_rows or rest.num_rows == log.events.num_rows:
            raise ValueError(
                f"the log must have events before and after {day(split_ms)}: "
                f"it has {log.events.num_rows:,} in all"
            )
        half_ms = rest["event_time_ms"][rest.num_rows // 2].as_py()
        second = log.between(half_ms, None)
        return cls(
            log,
            log.between(None, split_ms),
            log.between(split_ms, half_ms),
            second,
            _best_selling_newcomer(log, log.between(None, half_ms), second),
        )

    @property
    def first_items(self) -> pa.Table:
        """The catalogue without the late item."""
        if self.late_item is None:
            return self.log.items
        others = pc.not_equal(self.log.items["item_id"], self.late_item["item_id"])
        return self.log.items.filter(others)

    @property
    def everything(self) -> pa.Table:
        """All events."""
        return pa.concat_tables([self.history, self.first, self.second])


def _best_selling_newcomer(
    log: EventLog, before: pa.Table, second: pa.Table
) -> dict[str, Any] | None:
    """Of the items that nobody touched before the second half, the one most bought in it."""
    bought = second.filter(pc.equal(second["event_type"], EventType.PURCHASE.value))
    known = pc.is_in(bought["item_id"], value_set=pc.unique(before["item_id"]))
    counts = bought.filter(pc.invert(known))["item_id"].value_counts().to_pylist()
    items: dict[str, dict[str, Any]] = {i["item_id"]: i for i in log.items.to_pylist()}
    for row in sorted(counts, key=lambda row: (-row["counts"], row["values"])):
        if row["values"] in items:
            return items[row["values"]]
    return None
