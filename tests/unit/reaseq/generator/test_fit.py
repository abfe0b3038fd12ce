"""`reaseq.generator.fit`."""

from __future__ import annotations

import pytest
import torch

from reaseq.generator.fit import GeneratorFit, completion_losses, fit
from reaseq.generator.targets import with_targets
from reaseq.training.loop import EpochReport, FitState
from reaseq.training.worker import Worker, WorkerRank
from reaseq.vocabulary import ItemVocabulary
from tests.unit.reaseq.generator.world import ITEMS, SETTINGS, training_rows
from tests.unit.reaseq.training.toy import copied, weights_of

FEW = SETTINGS.model_copy(update={"num_epochs": 3, "dropout": 0.2})
ROWS = with_targets(training_rows(), SETTINGS.num_generated)


def test_resuming_after_an_epoch_ends_where_one_go_ends() -> None:
    """The same weights to the bit."""
    states: list[FitState] = []
    whole = fit(ROWS, ITEMS, FEW, seed=1, on_epoch=lambda _, state: states.append(copied(state)))
    resumed = fit(ROWS, ITEMS, FEW, seed=1, resume=states[1])
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_the_loss_of_a_row_is_the_mean_over_its_masked_slots() -> None:
    """By hand: 4 items, two slots masked of three, uniform logits: -log 1/4."""
    slots, masked = torch.tensor([[1, 2, 3]]), torch.tensor([[True, False, True]])
    losses = completion_losses(torch.zeros(1, 4), slots, masked)
    torch.testing.assert_close(losses, torch.tensor([4.0]).log())


def test_a_travelling_fit_is_the_plain_one() -> None:
    """One worker of one: the same weights, whoever carries the inputs."""
    there = GeneratorFit(FEW, ROWS, ITEMS.item_ids, seed=2).run(Worker(), None, lambda *_: None)
    assert torch.equal(weights_of(there), weights_of(fit(ROWS, ITEMS, FEW, seed=2)))


def test_workers_make_the_same_steps_on_their_rows() -> None:
    """Sixteen rows on three workers, batches of a third of the size."""
    settings = FEW.model_copy(update={"batch_size": 6})
    steps = set()
    for index in range(3):
        reports: list[EpochReport] = []
        GeneratorFit(settings, ROWS, ITEMS.item_ids).run(
            Worker(WorkerRank(index, 3)), None, lambda report, _, kept=reports: kept.append(report)
        )
        steps.update(report.num_steps for report in reports)
    assert steps == {3}


def test_held_out_targets_are_ranked_beyond_the_log() -> None:
    """Learnt by heart, the three targets are the first three: mean gain of the ranks 1, 2, 3."""
    found: list[float | None] = []
    settings = SETTINGS.model_copy(update={"num_epochs": 100})
    fit(ROWS, ITEMS, settings, held_out=ROWS, on_epoch=lambda e, _: found.append(e.held_out))
    assert found[-1] == pytest.approx((1 + 1 / 1.58496 + 0.5) / 3, rel=1e-4)


def test_rows_without_a_known_target_are_refused() -> None:
    """There is nothing to learn from them."""
    with pytest.raises(ValueError, match="beyond its log"):
        fit(ROWS, ItemVocabulary(["elsewhere"]), FEW)


def test_rows_without_targets_are_refused() -> None:
    """`with_targets` was forgotten."""
    with pytest.raises(ValueError, match="with_targets"):
        fit(training_rows(), ITEMS, FEW)
