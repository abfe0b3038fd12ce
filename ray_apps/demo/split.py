"""The demo's log, cut in time and with one item held back to arrive late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.demo.report import day
from reaseq.datasets.event_log import EventLog
from reaseq.errors import InputError
from reaseq.knowledge.plain_text import words
from reaseq.sequences.orders import best_sellers

FIRST_SHARE = 2 / 3
"""Of what is streamed: enough for a second model to know something that the first one does not."""

MIN_LIKENESS = 0.5
"""Shared words of two titles that make one resemble the other, as colours of one article do."""


@dataclass(frozen=True)
class DemoSplit:
    """The log cut in time: what is history, and the two parts that are streamed."""

    log: EventLog
    history: pa.Table
    first: pa.Table
    second: pa.Table
    late_item: dict[str, Any] | None
    """An item (ITEM_SCHEMA) first sold in the second part: it joins the catalogue just before.

    None where the log has no such item like one that is known."""

    @classmethod
    def of(cls, log: EventLog, split_ms: int) -> DemoSplit:
        """History before `split_ms`; the rest cut after `FIRST_SHARE` of its events or earlier.

        A moment is never split. Raises InputError for a log without a past or a present.
        """
        rest = log.between(split_ms, None)
        if not rest.num_rows or rest.num_rows == log.events.num_rows:
            raise InputError(
                f"the log must have events before and after {day(split_ms)}: "
                f"it has {log.events.num_rows:,} in all"
            )
        cut_ms = rest["event_time_ms"][int(rest.num_rows * FIRST_SHARE)].as_py()
        second = log.between(cut_ms, None)
        return cls(
            log,
            log.between(None, split_ms),
            log.between(split_ms, cut_ms),
            second,
            _best_selling_newcomer(log, log.between(None, cut_ms), second),
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
    """Of the items that nobody touched before the second part, the one most bought in it.

    Its title must resemble that of something bought before: what is like nothing has no buyers yet
    whom one could tell.
    """
    known = set(pc.unique(before["item_id"]).to_pylist())
    items: dict[str, dict[str, Any]] = {i["item_id"]: i for i in log.items.to_pylist()}
    bought = [items[i]["title"] for i in known if i in items]
    for item_id, _ in best_sellers(second):
        if item_id in known or item_id not in items:
            continue
        if any(_likeness(items[item_id]["title"], title) >= MIN_LIKENESS for title in bought):
            return items[item_id]
    return None


def _likeness(one: str, other: str) -> float:
    """Shared words among all words of two titles (Jaccard)."""
    ours, theirs = set(words(one)), set(words(other))
    return len(ours & theirs) / max(len(ours | theirs), 1)
