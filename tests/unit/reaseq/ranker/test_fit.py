"""`reaseq.ranker.fit`: small worlds in which it is known what there is to learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reaseq.ranker.fit import RankerFit, fit, order_trends
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.ranker.settings import RankerSettings
from reaseq.training.early_stopping import split_newest
from reaseq.training.loop import EpochReport, FitState
from reaseq.training.worker import Worker, WorkerRank
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
        worker=Worker(WorkerRank(1, 2), num_steps=5, wrap=wrap),
        on_epoch=lambda report, _: reports.append(report),
    )
    assert len(wrapped) == 1
    assert [report.num_steps for report in reports] == [5]


def test_rows_without_a_known_label_are_refused() -> None:
    """There is nothing to learn from them."""
    with pytest.raises(ValueError, match="no training row"):
        fit(pairs_world(), ItemVocabulary(["elsewhere"]), TEXT[:1], SETTINGS)


def test_a_travelling_fit_is_the_plain_one() -> None:
    """One worker of one: the same weights, whoever carries the inputs."""
    settings = SETTINGS.model_copy(update={"num_epochs": 2})
    rows = pairs_world()
    trends, _ = order_trends(rows, ITEMS, settings)
    travelling = RankerFit(settings, rows, ITEMS.item_ids, TEXT, trends, seed=3)
    there = travelling.run(Worker(), None, lambda report, state: None)
    assert torch.equal(weights_of(there), weights_of(fit(rows, ITEMS, TEXT, settings, seed=3)))


def test_held_out_orders_are_ranked_and_not_learnt_from() -> None:
    """NDCG@20 rises with training, for orders whose world is the same."""
    settings = SETTINGS.model_copy(update={"early_stopping_patience": 25})
    rows, held_out = split_newest(pairs_world(96), settings)
    assert held_out is not None
    found: list[float | None] = []
    fit(
        rows,
        ITEMS,
        TEXT,
        settings,
        held_out=held_out,
        on_epoch=lambda report, _: found.append(report.held_out),
    )
    # Of twelve items at random: the mean of 1 / log2(1 + rank) is about 0.42.
    assert found[0] is not None
    assert found[-1] is not None
    assert 0 < found[0] < found[-1]
    assert found[-1] > 0.6
