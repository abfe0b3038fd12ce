"""`reaseq.training.negatives`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reaseq.training.negatives import draw_candidates, log_inclusion, sampled_softmax_losses


def test_candidates_hold_the_labels_and_no_item_twice() -> None:
    """Ascending codes from 1 on; asked for more than there are, all of them."""
    rng = np.random.default_rng(0)
    drawn = draw_candidates(np.array([7, 3, 7]), 100, 10, rng)
    assert {3, 7} <= set(drawn.tolist())
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 1
    assert draw_candidates(np.array([2]), 4, 256, rng).tolist() == [1, 2, 3, 4]


def test_inclusion_by_hand() -> None:
    """Two of four drawn; an item that half the rows have is missed by both rows and the draw."""
    share = np.array([0.0, 0.5, 0.0, 1.0, 0.0])
    inclusion = np.exp(log_inclusion(share, num_negatives=2, batch_size=2))
    assert inclusion[1:].tolist() == pytest.approx([1 - 0.5 * 0.25, 0.5, 1.0, 0.5])


def test_the_loss_of_a_full_sample_is_the_softmax_over_the_catalogue() -> None:
    """With every item in the sample for certain, nothing is corrected."""
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    losses = sampled_softmax_losses(
        logits, torch.tensor([0, 1]), torch.tensor([1, 2]), torch.zeros(3)
    )
    expected = math.log(math.e**1 + math.e**2 + math.e**0.5) - 2
    assert losses.tolist() == pytest.approx([expected, math.log(3)])


def test_a_sampled_item_stands_for_those_that_were_not_drawn() -> None:
    """An item drawn with chance 1/4 counts four times; the row's own label counts once."""
    logits = torch.zeros(1, 2)
    inclusion = torch.log(torch.tensor([0.25, 0.25]))
    losses = sampled_softmax_losses(logits, torch.tensor([0]), torch.tensor([0]), inclusion)
    assert losses.tolist() == pytest.approx([math.log(1 + 4)])


def test_the_estimate_is_right_on_average() -> None:
    """Over many draws the corrected sum is that over all items."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=30)
    inclusion = np.exp(log_inclusion(np.zeros(31), num_negatives=6, batch_size=4))[1:]
    sums = []
    for _ in range(4000):
        drawn = draw_candidates(np.array([], np.int64), 30, 6, rng) - 1
        sums.append((np.exp(logits[drawn]) / inclusion[drawn]).sum())
    assert np.mean(sums) == pytest.approx(np.exp(logits).sum(), rel=0.03)
