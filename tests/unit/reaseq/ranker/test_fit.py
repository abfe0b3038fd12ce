"""`reaseq.ranker.fit`: small worlds in which it is known what there is to learn."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from reaseq.ranker.fit import EpochReport, FitState, Worker, fit, label_losses, order_trends
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.ranker.settings import RankerSettings
from reaseq.vocabulary import ItemVocabulary
from tests.small_world import ITEMS, TEXT, pairs_world

SETTINGS = RankerSettings(
    hidden_size=16,
    head_size=8,
    dropout=0.0,
    num_epochs=25,
    batch_size=8,
    num_negatives=8,
    learning_rate=2e-2,
)


def weights_of(model: RankerModel) -> torch.Tensor:
    """All weights as one vector."""
    return torch.cat([weights.detach().flatten() for weights in model.parameters()])


def test_it_learns_what_a_small_world_holds() -> None:
    """The next item is ranked first for nearly every row that it was trained on."""
    rows = pairs_world()
    losses: list[float] = []
    model = fit(rows, ITEMS, TEXT, SETTINGS, on_epoch=lambda report, _: losses.append(report.loss))
    assert losses[-1] < 0.2 < losses[0]
    ranker = Ranker.of(model, ITEMS, order_trends(rows, ITEMS, SETTINGS)[1])
    found = ranker.score(rows, rows["label_time_ms"].to_numpy()).argmax(axis=1) + 1
    expected = ITEMS.encode([labels[0] for labels in rows["label_item_ids"].to_pylist()])
    assert (found == expected).mean() > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    """Training is a function of rows, settings and seed."""
    settings = SETTINGS.model_copy(update={"num_epochs": 2, "dropout": 0.3})
    first, again, other = (
        weights_of(fit(pairs_world(), ITEMS, TEXT, settings, seed=seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_resuming_after_an_epoch_ends_where_one_go_ends(tmp_path: Path) -> None:
    """A worker that was killed after an epoch goes on as if nothing had happened."""
    settings = SETTINGS.model_copy(update={"num_epochs": 3, "dropout": 0.3})

    def keep(report: EpochReport, state: FitState) -> None:
        # Written out as a checkpoint would be: the live state goes on changing.
        torch.save(state, tmp_path / str(report.epoch))

    whole = fit(pairs_world(), ITEMS, TEXT, settings, on_epoch=keep)
    resumed = fit(pairs_world(), ITEMS, TEXT, settings, resume=torch.load(tmp_path / "0"))
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_workers_make_the_steps_they_agreed_on() -> None:
    """A worker with little data goes round again; the wrapper gets the model once."""
    wrapped: list[torch.nn.Module] = []
    reports: list[EpochReport] = []

    def wrap(model: torch.nn.Module) -> torch.nn.Module:
        wrapped.append(model)
        return model

    rows = pairs_world(10)
    history, _ = order_trends(rows, ITEMS, SETTINGS)
    fit(
        rows,
        ITEMS,
        TEXT,
        SETTINGS.model_copy(update={"num_epochs": 1}),
        trends=history,
        worker=Worker(rank=1, num_steps=5, wrap=wrap),
        on_epoch=lambda report, _: reports.append(report),
    )
    assert len(wrapped) == 1
    assert [report.num_steps for report in reports] == [5]


def test_the_loss_of_a_full_sample_is_the_softmax_over_the_catalogue() -> None:
    """With every item in the sample for certain, nothing is corrected."""
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    losses = label_losses(logits, torch.tensor([0, 1]), torch.tensor([1, 2]), torch.zeros(3))
    expected = math.log(math.e**1 + math.e**2 + math.e**0.5) - 2
    assert losses.tolist() == pytest.approx([expected, math.log(3)])


def test_a_sampled_item_stands_for_those_that_were_not_drawn() -> None:
    """An item drawn with chance 1/4 counts four times; the row's own label counts once."""
    logits = torch.zeros(1, 2)
    inclusion = torch.log(torch.tensor([0.25, 0.25]))
    losses = label_losses(logits, torch.tensor([0]), torch.tensor([0]), inclusion)
    assert losses.tolist() == pytest.approx([math.log(1 + 4)])


def test_rows_without_a_known_label_are_refused() -> None:
    """There is nothing to learn from them."""
    with pytest.raises(ValueError, match="no training row"):
        fit(pairs_world(), ItemVocabulary(["elsewhere"]), TEXT[:1], SETTINGS)
