"""Ranking metrics of full rankings, with ties counted against the model.

A model that scores everything alike must not look good by luck of the sort order, so an item that
ties with the target is counted as standing before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reaseq.types import Float64s, Int64s

Floats = npt.NDArray[np.floating]


def pessimistic_ranks(scores: Floats, rows: Int64s, columns: Int64s) -> Int64s:
    """The rank of each target among all items of its row; 1 is best.

    `scores` is [B, C]; target t is item `columns[t]` of row `rows[t]`. A column of -1 is an item
    outside the ranking: it gets the rank C + 1, a miss at every k.

        rank(t) = |{c : scores[row, c] >= scores[row, target]}|

    The target itself is in the set, so the best rank is 1. Example: scores [0.9, 0.5, 0.5, 0.1]
    give the ranks 1, 3, 3, 4.

    Raises ValueError when a score is NaN: it compares with nothing, so it would rank first.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN; score an item that cannot be scored with -inf")
    num_items = scores.shape[1]
    ranks = np.full(len(rows), num_items + 1, np.int64)
    for row in np.unique(rows):
        of_row = np.flatnonzero((rows == row) & (columns >= 0))
        ascending = np.sort(scores[row])
        targets = scores[row, columns[of_row]]
        ranks[of_row] = num_items - np.searchsorted(ascending, targets, side="left")
    return ranks


def hits_at(ranks: Int64s, k: int) -> Float64s:
    """1 for each target that stands among the first `k`, else 0."""
    return (ranks <= k).astype(np.float64)


def gains_at(ranks: Int64s, k: int) -> Float64s:
    """The discounted gain of each target: [rank <= k] / log2(1 + rank)."""
    return np.asarray((ranks <= k) / np.log2(1.0 + ranks))


def hit_rate_at(ranks: Int64s, k: int) -> float:
    """The share of targets that stand among the first `k`.

        HR@k = mean over targets of [rank <= k]

    Example: ranks 1, 3, 30 at k = 20 give 2/3. Without targets the result is NaN.
    """
    return float(np.mean(hits_at(ranks, k))) if len(ranks) else float("nan")


def ndcg_at(ranks: Int64s, k: int) -> float:
    """Discounted gain of one relevant item per target, so the ideal gain is 1.

        NDCG@k = mean over targets of [rank <= k] / log2(1 + rank)

    Example: ranks 1, 3, 30 at k = 20 give (1/log2(2) + 1/log2(4) + 0) / 3 = (1 + 0.5) / 3 = 0.5.
    Without targets the result is NaN.
    """
    if not len(ranks):
        return float("nan")
    return float(np.mean(gains_at(ranks, k)))
