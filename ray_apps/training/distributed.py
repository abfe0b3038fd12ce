"""A fit as a Ray Train job: on every worker's part of the rows, with checkpoints.

Workers import this module, so it must not wait for Feast.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

from ray_apps.settings import TrainSettings
from reaseq.training.loop import EpochReport, Fit, FitState
from reaseq.training.worker import Worker, WorkerRank

STATE_FILE = "state.pt"

_POLL_S = 0.3

OnEpoch = Callable[[EpochReport], None]


class EpochBoard:
    """Where the first worker posts what it has done, for the driver to read; a Ray actor."""

    def __init__(self) -> None:
        self._reports: list[EpochReport] = []

    def post(self, report: EpochReport) -> None:
        """Add a report."""
        self._reports.append(report)

    def since(self, num_seen: int) -> list[EpochReport]:
        """The reports after the first `num_seen`."""
        return self._reports[num_seen:]


def fit_distributed(settings: TrainSettings, fit: Fit, folder: Path, on_epoch: OnEpoch) -> FitState:
    """Run `fit` on `settings.num_workers` workers; return the state after the last epoch.

    Ray must be initialised. The fit travels once through the object store. Checkpoints lie under
    `folder`; when a worker dies all go on from the newest one, `settings.max_failures` times.
    """
    board = ray.remote(num_cpus=0)(EpochBoard).remote()
    trainer = ray.train.torch.TorchTrainer(
        _train_worker,
        train_loop_config={"fit": [ray.put(fit)], "board": board},
        scaling_config=ScalingConfig(num_workers=settings.num_workers, use_gpu=settings.use_gpu),
        run_config=RunConfig(
            name="fit",
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    with _relay(board, on_epoch):
        try:
            result = trainer.fit()
        except SystemExit:  # what Ray Train makes of Ctrl-C
            raise KeyboardInterrupt from None
    assert result.checkpoint is not None, "the last epoch always leaves one"
    with result.checkpoint.as_directory() as checkpoint:
        return _read_state(Path(checkpoint))


def _train_worker(config: dict[str, Any]) -> None:
    """One worker: the fit on its part of the rows, a checkpoint after every epoch."""
    context = ray.train.get_context()
    rank = WorkerRank(context.get_world_rank(), context.get_world_size())

    def report(epoch: EpochReport, state: FitState) -> None:
        if rank.index > 0:
            ray.train.report({"loss": epoch.loss})
            return
        ray.get(config["board"].post.remote(epoch))
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / STATE_FILE)
            metrics = {"loss": epoch.loss, "epoch": epoch.epoch}
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))

    fit: Fit = ray.get(config["fit"][0])
    fit.run(Worker(rank, wrap=_prepare, agree=_as_the_first), _resume_state(), report)


def _prepare(model: torch.nn.Module) -> torch.nn.Module:
    """The model for data-parallel training. Buffers, such as text vectors, never change."""
    unsynced = {"forward_sync_buffers": False}
    prepared: torch.nn.Module = ray.train.torch.prepare_model(
        model, parallel_strategy_kwargs=unsynced
    )
    return prepared


def _as_the_first(value: float) -> float:
    """The value of the worker of index 0, on every worker."""
    if not torch.distributed.is_initialized():
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=ray.train.torch.get_device())
    torch.distributed.broadcast(shared, src=0)
    return float(shared)


def _resume_state() -> FitState | None:
    """The state of the last checkpoint, when this worker takes over after a failure."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return _read_state(Path(folder))


def _read_state(folder: Path) -> FitState:
    # Trained on a GPU, it may be read where there is none.
    state: FitState = torch.load(folder / STATE_FILE, weights_only=True, map_location="cpu")
    return state


class _relay:
    """Hands the board's reports to a callback of the driver while the trainer blocks it."""

    def __init__(self, board: Any, on_epoch: OnEpoch) -> None:
        self._board = board
        self._on_epoch = on_epoch
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaseq-epochs", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        num_seen = 0
        while True:
            finished = self._done.wait(_POLL_S)
            for report in ray.get(self._board.since.remote(num_seen)):
                num_seen += 1
                self._on_epoch(report)
            if finished:
                return
