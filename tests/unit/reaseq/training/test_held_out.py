"""The held-out metric: block by block the same as all at once, ties against the model."""

from __future__ import annotations

import numpy as np
import pytest

from reaseq.evaluation.metrics import ndcg_at, pessimistic_ranks
from reaseq.training.held_out import RANKED_AT_ONCE, Ranked, held_out_ndcg
from reaseq.types import Int64s


@pytest.mark.parametrize(
    "num_rows", [1, RANKED_AT_ONCE, RANKED_AT_ONCE + 1, 3 * RANKED_AT_ONCE - 1]
)
def test_blocks_come_to_the_metric_of_all_rows(num_rows: int) -> None:
    """Each row is ranked once, whatever the last block holds."""
    rng = np.random.default_rng(num_rows)
    scores = rng.random((num_rows, 50)).round(1)
    targets = [rng.choice(50, rng.integers(0, 4), replace=False) for _ in range(num_rows)]
    targets[0], scores[0, 7] = np.array([7, 49]), 2.0

    def rank(rows: Int64s) -> Ranked:
        assert len(rows) <= RANKED_AT_ONCE
        chosen = [targets[row] for row in rows]
        position = np.repeat(np.arange(len(rows)), [len(one) for one in chosen])
        return scores[rows], position, np.concatenate(chosen)

    everything = np.repeat(np.arange(num_rows), [len(one) for one in targets])
    ranks = pessimistic_ranks(scores, everything, np.concatenate(targets))
    assert held_out_ndcg(num_rows, 10, rank) == ndcg_at(ranks, 10) > 0


def test_a_model_that_says_nothing_is_worth_nothing() -> None:
    """All scores alike rank every target last."""

    def rank(rows: Int64s) -> Ranked:
        return np.zeros((len(rows), 50)), np.arange(len(rows)), np.zeros(len(rows), np.int64)

    assert held_out_ndcg(40, 10, rank) == 0.0
