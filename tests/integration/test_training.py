"""A plain fit as a job of Ray Train: two workers, one of them killed on the way."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import torch

from ray_apps.settings import TrainSettings
from ray_apps.training.distributed import fit_distributed
from reaseq.ranker.fit import RankerFit, order_trends
from reaseq.ranker.settings import RankerSettings
from reaseq.training.loop import EpochReport
from tests.integration.shop import kill
from tests.small_world import ITEMS, TEXT, pairs_world

SETTINGS = RankerSettings(hidden_size=16, head_size=8, num_epochs=5, batch_size=8)

NUM_ROWS = 1000
"""An epoch takes about a second, so that a checkpoint is long complete when the next one is."""


def test_a_killed_worker_resumes_from_the_checkpoint(ray_session: None, tmp_path: Path) -> None:
    """Training goes on, not anew, and ends with the weights of a training in peace."""
    killed: list[int] = []
    epochs: list[int] = []

    def kill_one(report: EpochReport) -> None:
        epochs.append(report.epoch)
        # Two epochs after the first: Ray Train has taken note of its checkpoint by then.
        if report.epoch == 2 and not killed:
            worker = training_workers()[-1]
            kill(worker)
            killed.append(worker.pid)

    rows = pairs_world(NUM_ROWS)
    trends, _ = order_trends(rows, ITEMS, SETTINGS)
    fit = RankerFit(SETTINGS, rows, ITEMS.item_ids, TEXT, trends)
    two = TrainSettings(num_workers=2)
    disturbed = fit_distributed(two, fit, tmp_path / "killed", kill_one)
    assert killed
    assert epochs.count(0) == 1
    assert epochs[-1] == 4
    peaceful = fit_distributed(two, fit, tmp_path / "peace", lambda report: None)
    for name, weights in peaceful["model"].items():
        torch.testing.assert_close(disturbed["model"][name], weights, msg=name)


def training_workers() -> list[psutil.Process]:
    """The processes of Ray Train's workers, found by the title that Ray gives them."""
    ours = psutil.Process(os.getpid()).children(recursive=True)
    return [p for p in ours if "RayTrainWorker" in " ".join(p.cmdline())]
