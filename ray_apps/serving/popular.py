"""Popular items without a model: what is left to show when everything else is missing."""

from __future__ import annotations

import time

import pyarrow.compute as pc

from ray_apps.runtime.home import Home
from reaseq.events import EventType
from reaseq.recommendation.slate import Scene, Slate, SlateItem
from streams.offline.events import EventArchive

REFRESH_S = 60.0
"""Counting all purchases anew is dear, and what is popular changes slowly."""

NUM_POPULAR = 200


class PopularItems:
    """The most purchased items of the event archive."""

    def __init__(self, home: Home) -> None:
        self._archive = EventArchive(home.events)
        self._items: list[SlateItem] = []
        self._counted_at = float("-inf")

    def slate(self, scene: Scene, k: int, fallback: str) -> Slate:
        """The top `k`, naming the fallback; empty while nothing was ever bought."""
        if time.monotonic() - self._counted_at > REFRESH_S or not self._items:
            self._items = self._count()
            self._counted_at = time.monotonic()
        return Slate(
            items=tuple(self._items[:k]), scene=scene, model_version=None, fallbacks=(fallback,)
        )

    def _count(self) -> list[SlateItem]:
        events = self._archive.read()
        bought = events.filter(pc.equal(events["event_type"], EventType.PURCHASE.value))
        counts = bought["item_id"].value_counts().to_pylist()
        top = sorted(counts, key=lambda row: (-row["counts"], row["values"]))[:NUM_POPULAR]
        return [
            SlateItem(item_id=row["values"], score=float(row["counts"]), sources=("popular",))
            for row in top
        ]
