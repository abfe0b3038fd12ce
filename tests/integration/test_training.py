"""A plain fit as a job of Ray Train: two workers, one of them killed on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple

import ray.train
import torch

from ray_apps.training.distributed import OnEpochState, Place, fit_distributed
from ray_apps.training.fit import RankerInputs, fit_ranker
from reaseq.ranker.fit import EpochReport, FitState, order_trends
from reaseq.ranker.settings import RankerSettings
from reaseq.settings import TrainSettings
from tests.small_world import ITEMS, TEXT, pairs_world

SETTINGS = RankerSettings(dimension=16, head_dimension=8, num_epochs=4, batch_size=8)


class Mortal(NamedTuple):
    """What a fit starts from, and where it leaves what the test asks for."""

    inputs: RankerInputs
    peaceful: Path
    """The weights of a training in peace."""
    obituary: Path
    """Says that a worker has died."""


def fit_with_a_death(
    mortal: Mortal, place: Place, resume: FitState | None, on_epoch: OnEpochState
) -> object:
    """The ranker's fit, in which the last worker dies once; before it, the same fit in peace."""
    is_last = place.rank == place.num_workers - 1

    def keep(epoch: EpochReport, state: FitState) -> None:
        if place.rank == 0:
            torch.save(state["model"], mortal.peaceful)

    def report(epoch: EpochReport, state: FitState) -> None:
        if is_last and epoch.epoch == 1 and not mortal.obituary.exists():
            # Ray Train has the first checkpoint, and gets no second one without this worker.
            (first,) = ray.train.get_all_reported_checkpoints()
            mortal.obituary.write_text(str(first.checkpoint.path))
            os.kill(os.getpid(), signal.SIGKILL)
        on_epoch(epoch, state)

    if not mortal.obituary.exists():
        fit_ranker(mortal.inputs, place, None, keep)
    return fit_ranker(mortal.inputs, place, resume, report)


def test_a_killed_worker_resumes_from_the_checkpoint(ray_session: None, tmp_path: Path) -> None:
    """Training goes on, not anew, and ends with the weights of a training in peace."""
    rows = pairs_world(200)
    inputs = RankerInputs(
        SETTINGS, rows, ITEMS.item_ids, TEXT, order_trends(rows, ITEMS, SETTINGS)[0], seed=0
    )
    mortal = Mortal(inputs, tmp_path / "peaceful.pt", tmp_path / "obituary")
    epochs: list[int] = []
    disturbed = fit_distributed(
        TrainSettings(num_workers=2),
        fit_with_a_death,
        mortal,
        tmp_path / "killed",
        lambda done: epochs.append(done.epoch),
    )
    assert mortal.obituary.exists()
    assert epochs.count(0) == 1
    assert epochs[-1] == 3
    peaceful = torch.load(mortal.peaceful, weights_only=True)
    for name, weights in peaceful.items():
        torch.testing.assert_close(disturbed["model"][name], weights, msg=name)
