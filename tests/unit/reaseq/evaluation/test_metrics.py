"""`reaseq.evaluation.metrics` against tables computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from reaseq.evaluation.metrics import hit_rate_at, ndcg_at, pessimistic_ranks

finite_scores = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0, 1, 2]),
)


def every_target(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row and column of every cell."""
    rows, columns = np.indices(scores.shape)
    return rows.ravel().astype(np.int64), columns.ravel().astype(np.int64)


def test_ranks_of_a_hand_made_table() -> None:
    """Two items that tie share the worse place; an item outside the table ranks behind all."""
    scores = np.array([[0.9, 0.5, 0.5, 0.1], [-np.inf, 3.0, -np.inf, 2.0]], np.float32)
    rows = np.array([0, 0, 0, 0, 1, 1, 1])
    columns = np.array([0, 1, 2, 3, 1, 0, -1])
    assert pessimistic_ranks(scores, rows, columns).tolist() == [1, 3, 3, 4, 1, 4, 5]


@given(finite_scores)
def test_a_rank_counts_all_that_score_as_high(scores: np.ndarray) -> None:
    """The fast ranks equal the definition, cell by cell."""
    rows, columns = every_target(scores)
    expected = [(scores[r] >= scores[r, c]).sum() for r, c in zip(rows, columns, strict=True)]
    assert pessimistic_ranks(scores, rows, columns).tolist() == expected


@given(finite_scores)
def test_a_tie_never_helps(scores: np.ndarray) -> None:
    """Making a target tie with one more item cannot improve its rank."""
    rows, columns = every_target(scores)
    before = pessimistic_ranks(scores, rows, columns)
    tied = np.concatenate([scores, scores], axis=1)
    assert (pessimistic_ranks(tied, rows, columns) == 2 * before).all()


def test_a_constant_scorer_hits_nothing() -> None:
    """Scoring everything alike puts every target last."""
    ranks = pessimistic_ranks(np.zeros((1, 50)), np.zeros(50, np.int64), np.arange(50))
    assert hit_rate_at(ranks, 20) == 0.0


def test_nan_is_refused() -> None:
    """NaN compares with nothing, so it would rank first."""
    with pytest.raises(ValueError, match="NaN"):
        pessimistic_ranks(np.array([[np.nan, 1.0]]), np.array([0]), np.array([0]))


@pytest.mark.parametrize(
    ("ranks", "k", "hit_rate", "ndcg"),
    [
        ([1], 20, 1.0, 1.0),
        ([1, 3, 30], 20, 2 / 3, 0.5),
        ([2, 2], 1, 0.0, 0.0),
        ([20, 21], 20, 0.5, 0.5 / math.log2(21)),
        ([1, 2, 3, 4], 3, 0.75, (1 + 1 / math.log2(3) + 0.5) / 4),
    ],
)
def test_metrics_of_a_hand_made_table(
    ranks: list[int], k: int, hit_rate: float, ndcg: float
) -> None:
    """Hit rate and NDCG by their formulas."""
    assert hit_rate_at(np.array(ranks), k) == pytest.approx(hit_rate)
    assert ndcg_at(np.array(ranks), k) == pytest.approx(ndcg)


def test_no_targets_give_nan() -> None:
    """Nothing measured is not the same as nothing hit."""
    nothing = np.zeros(0, np.int64)
    assert math.isnan(hit_rate_at(nothing, 5))
    assert math.isnan(ndcg_at(nothing, 5))
