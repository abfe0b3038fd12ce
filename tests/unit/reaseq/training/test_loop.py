"""`reaseq.training.loop`."""

from __future__ import annotations

import pytest
import torch

from reaseq.training.loop import EpochReport, FitState, train, trained_weights
from reaseq.training.settings import FitSettings
from reaseq.training.worker import Worker, WorkerRank
from tests.unit.reaseq.training.toy import LineObjective, copied, weights_of

SETTINGS = FitSettings(num_epochs=4, batch_size=8, learning_rate=0.1, weight_decay=0.0)


class Diary:
    """What `on_epoch` was called with."""

    def __init__(self) -> None:
        self.reports: list[EpochReport] = []
        self.states: list[FitState] = []

    def __call__(self, report: EpochReport, state: FitState) -> None:
        self.reports.append(report)
        self.states.append(copied(state))


def test_it_overfits_a_line() -> None:
    """A hundred epochs find slope and intercept, and leave the model ready for use."""
    objective = LineObjective()
    train(objective, SETTINGS.model_copy(update={"num_epochs": 100}))
    assert weights_of(objective.model).tolist() == pytest.approx([2.0, -1.0], abs=0.01)
    assert not objective.model.training


def test_a_report_says_what_an_epoch_did() -> None:
    """Mean loss, steps and rows; the first loss is that of the untrained model."""
    diary = Diary()
    frozen = SETTINGS.model_copy(update={"learning_rate": 1e-12})
    train(LineObjective(), frozen, on_epoch=diary)
    first = diary.reports[0]
    x = torch.linspace(-1, 1, 24)
    assert first.loss == pytest.approx(float((2 * x - 1).square().mean()), rel=1e-4)
    assert (first.epoch, first.num_epochs, first.num_steps, first.num_rows) == (0, 4, 3, 24)
    assert first.held_out is None


def test_the_seed_decides() -> None:
    """Equal seeds give equal weights, others others."""
    trained = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        objective = LineObjective(dropout=0.5)
        train(objective, SETTINGS, seed=seed)
        trained.append(weights_of(objective.model))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("held_out", [None, [0.1, 0.5, 0.4, 0.3]])
def test_resuming_after_any_epoch_ends_where_one_go_ends(
    after: int, held_out: list[float] | None
) -> None:
    """To the bit, with and without early stopping, also after the last epoch of all."""
    patience = 2 if held_out else None
    settings = SETTINGS.model_copy(update={"early_stopping_patience": patience})
    whole, diary = LineObjective(dropout=0.5, held_out=held_out), Diary()
    train(whole, settings, seed=3, on_epoch=diary)
    torch.manual_seed(99)  # what a new process would hold
    resumed = LineObjective(dropout=0.5, held_out=held_out and held_out[after + 1 :])
    train(resumed, settings, seed=3, resume=diary.states[after])
    assert torch.equal(weights_of(resumed.model), weights_of(whole.model))


def test_early_stopping_restores_the_best_epoch() -> None:
    """Two epochs without a better metric end it; the second epoch was the best."""
    settings = SETTINGS.model_copy(update={"num_epochs": 9, "early_stopping_patience": 2})
    objective, diary = LineObjective(held_out=[0.1, 0.5, 0.4, 0.5]), Diary()
    train(objective, settings, on_epoch=diary)
    assert [report.held_out for report in diary.reports] == [0.1, 0.5, 0.4, 0.5]
    best = diary.states[1]["model"]
    for name, value in objective.model.state_dict().items():
        assert torch.equal(value, best[name])
    for name, value in trained_weights(diary.states[-1]).items():
        assert torch.equal(value, best[name])


def test_early_stopping_needs_something_held_out() -> None:
    """Else it could never stop, and nobody would notice."""
    settings = SETTINGS.model_copy(update={"early_stopping_patience": 2})
    with pytest.raises(ValueError, match="held-out rows"):
        train(LineObjective(), settings)


def test_a_held_out_metric_is_reported_without_early_stopping_too() -> None:
    """All epochs run, and the last one's weights stay."""
    objective, diary = LineObjective(held_out=[0.9, 0.1, 0.1, 0.1]), Diary()
    train(objective, SETTINGS, on_epoch=diary)
    assert len(diary.reports) == 4
    assert "early_stopping" not in diary.states[-1]
    last = trained_weights(diary.states[-1])["linear.weight"]
    assert torch.equal(objective.model.linear.weight.detach(), last)


def test_all_workers_make_the_same_steps() -> None:
    """A worker with little data goes round again; each sees batches in an order of its own."""
    orders = []
    for index, num_rows in ((0, 24), (1, 9)):
        objective, diary = LineObjective(num_rows), Diary()
        worker = Worker(WorkerRank(index, 2), num_steps=3)
        train(objective, SETTINGS, worker=worker, on_epoch=diary)
        assert [report.num_steps for report in diary.reports] == [3] * 4
        assert len(objective.seen) == 12
        orders.append(objective.seen)
    assert orders[0] != orders[1]


def test_all_workers_stop_with_the_first() -> None:
    """What the first worker measured decides, whatever this one did."""
    settings = SETTINGS.model_copy(update={"early_stopping_patience": 1})
    objective, diary = LineObjective(held_out=[0.1, 0.2, 0.3, 0.4]), Diary()
    of_first = iter([0.9, 0.8])
    worker = Worker(agree=lambda value: next(of_first))
    train(objective, settings, worker=worker, on_epoch=diary)
    assert [report.held_out for report in diary.reports] == [0.9, 0.8]


def test_the_model_is_wrapped_once_and_trained_through_the_wrapper() -> None:
    """As data-parallel training needs it."""
    wrapped: list[torch.nn.Module] = []

    def wrap(model: torch.nn.Module) -> torch.nn.Module:
        wrapped.append(torch.nn.Sequential(model))
        return wrapped[-1]

    calls: list[torch.nn.Module] = []

    class Recording(LineObjective):
        def loss(self, forward, rows, rng):  # type: ignore[no-untyped-def]
            calls.append(forward)
            return super().loss(forward, rows, rng)

    train(Recording(), SETTINGS, worker=Worker(wrap=wrap))
    assert len(wrapped) == 1
    assert set(calls) == set(wrapped)
