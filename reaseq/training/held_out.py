"""How well a model ranks rows that it was not trained on; `early_stopping` goes by it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reaseq.evaluation.metrics import Floats, ndcg_at, pessimistic_ranks
from reaseq.types import Int64s

RANKED_AT_ONCE = 32
"""Rows whose scores over all items are held at a time."""

Ranked = tuple[Floats, Int64s, Int64s]
"""Scores [B, num_items]; and of each target its row of them, and its column."""


def held_out_ndcg(num_rows: int, k: int, rank: Callable[[Int64s], Ranked]) -> float:
    """NDCG@k of all targets of `num_rows` rows; `rank` scores those of the given numbers."""
    ranks = []
    for start in range(0, num_rows, RANKED_AT_ONCE):
        rows = np.arange(start, min(start + RANKED_AT_ONCE, num_rows))
        ranks.append(pessimistic_ranks(*rank(rows)))
    return ndcg_at(np.concatenate(ranks), k)
