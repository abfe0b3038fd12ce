"""Ray Train around the plain fit: a worker that dies costs an epoch, not the training."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple

import ray.train
import torch

from ray_apps.settings import TrainSettings
from ray_apps.training.distributed import fit_distributed
from reaseq.ranker.fit import RankerFit, order_trends
from reaseq.ranker.model import RankerModel
from reaseq.ranker.settings import RankerSettings
from reaseq.training.loop import EpochReport, FitState, OnEpoch
from reaseq.training.worker import Worker
from tests.small_world import ITEMS, TEXT, pairs_world

SETTINGS = RankerSettings(hidden_size=16, head_size=8, num_epochs=4, batch_size=8)


class Mortal(NamedTuple):
    """The ranker's fit, in which the last worker dies once; before it, the same fit in peace."""

    fit: RankerFit
    peaceful: Path
    """Where the weights of a training in peace go."""
    obituary: Path
    """Says that a worker has died."""

    def run(self, worker: Worker, resume: FitState | None, on_epoch: OnEpoch) -> RankerModel:
        """See `reaseq.training.loop.Fit`."""
        is_last = worker.rank.index == worker.rank.num_workers - 1

        def keep(epoch: EpochReport, state: FitState) -> None:
            if worker.rank.index == 0:
                torch.save(state["model"], self.peaceful)

        def report(epoch: EpochReport, state: FitState) -> None:
            if is_last and epoch.epoch == 1 and not self.obituary.exists():
                # Ray Train has the first checkpoint, and gets no second one without this worker.
                (first,) = ray.train.get_all_reported_checkpoints()
                self.obituary.write_text(str(first.checkpoint.path))
                os.kill(os.getpid(), signal.SIGKILL)
            on_epoch(epoch, state)

        if not self.obituary.exists():
            self.fit.run(worker, None, keep)
        return self.fit.run(worker, resume, report)


def test_a_killed_worker_resumes_from_the_checkpoint(ray_session: None, tmp_path: Path) -> None:
    """Training goes on, not anew, and ends with the weights of a training in peace."""
    rows = pairs_world(200)
    trends, _ = order_trends(rows, ITEMS, SETTINGS)
    fit = RankerFit(SETTINGS, rows, ITEMS.item_ids, TEXT, trends)
    mortal = Mortal(fit, tmp_path / "peaceful.pt", tmp_path / "obituary")
    epochs: list[int] = []
    disturbed = fit_distributed(
        TrainSettings(num_workers=2),
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
