"""Popular items without a model: what is left to show when everything else is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray_apps.serving.history import EventHistory
from reaseq.recommendation.slate import Scene, Slate, SlateItem
from reaseq.sequences.orders import best_sellers

REFRESH_S = 60.0
"""Counting all purchases anew is dear, and what is popular changes slowly."""

NUM_POPULAR = 200


class PopularItems:
    """The most purchased items of the history."""

    def __init__(
        self, history: EventHistory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._history = history
        self._clock = clock
        self._items: list[SlateItem] = []
        self._counted_at = float("-inf")

    def slate(self, scene: Scene, k: int, fallback: str) -> Slate:
        """The top `k`, naming the fallback; empty while nothing was ever bought."""
        if self._clock() - self._counted_at > REFRESH_S or not self._items:
            self._items = self._count()
            self._counted_at = self._clock()
        return Slate(
            items=tuple(self._items[:k]), scene=scene, model_version=None, fallbacks=(fallback,)
        )

    def _count(self) -> list[SlateItem]:
        return [
            SlateItem(best.item_id, float(best.num_purchases), ("popular",))
            for best in best_sellers(self._history.read(), NUM_POPULAR)
        ]
