"""Items that arrived after the model was trained: nobody has bought them, no weight knows them.

What they resemble is known from their text, so they can be shown to those who like its like. A
ranker that has never seen them cannot place them fairly, and an item that is never shown is never
learnt, so they get places of their own at the end of a slate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reaseq.types import Float32s


class Similar(NamedTuple):
    """An item and how much it is like the most similar recent item of the user (cosine)."""

    item_id: str
    similarity: float


class NewItems:
    """The representations of items that the model's vocabulary lacks."""

    def __init__(self) -> None:
        self._vectors: dict[str, Float32s] = {}
        self._unit_ID: Float32s | None = None

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._vectors

    def put(self, vectors: Mapping[str, Float32s]) -> None:
        """Add items, or replace their vectors [D] when more is known of them."""
        for item_id, vector in vectors.items():
            self._vectors[item_id] = vector / max(float(np.linalg.norm(vector)), 1e-12)
        self._unit_ID = np.stack(list(self._vectors.values())) if self._vectors else None

    def most_similar(self, recent_RD: Float32s, num: int, at_least: float) -> list[Similar]:
        """The `num` items most like any of the recent ones (unit rows), best first."""
        if self._unit_ID is None or not len(recent_RD) or num < 1:
            return []
        similarity_I = (self._unit_ID @ recent_RD.T).max(axis=1)
        item_ids = list(self._vectors)
        best = np.argsort(-similarity_I, kind="stable")[:num]
        return [
            Similar(item_ids[i], float(similarity_I[i]))
            for i in best
            if similarity_I[i] >= at_least
        ]
