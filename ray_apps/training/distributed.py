"""A fit as a Ray Train job: any plain fit, on every worker's part of the rows, with checkpoints."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

from ray_apps.settings import TrainSettings
from reaseq.ranker.fit import EpochReport, FitState, Worker

STATE_FILE = "state.pt"

_POLL_S = 0.3

OnEpoch = Callable[[EpochReport], None]
OnEpochState = Callable[[EpochReport, FitState], None]


class Place(NamedTuple):
    """One worker's place among all."""

    rank: int
    num_workers: int

    def rows_of(self, rows: pa.Table) -> pa.Table:
        """Every `num_workers`-th row, so that each worker sees all of the time there is."""
        return rows.take(pa.array(range(self.rank, rows.num_rows, self.num_workers), pa.int64()))

    def batch_size_of(self, batch_size: int) -> int:
        """The batch size is that of all workers together: their number does not change the model"""
        return max(1, batch_size // self.num_workers)

    def worker(self, num_rows: int, batch_size: int) -> Worker:
        """The worker for a plain fit on `num_rows` of all workers in batches of `batch_size`."""
        num_steps = math.ceil(math.ceil(num_rows / self.num_workers) / batch_size)
        return Worker(self.rank, num_steps, _prepare)


Fit = Callable[[Any, Place, FitState | None, OnEpochState], object]
"""`fit(inputs, place, resume, on_epoch)`: a function of a module, as workers import it."""


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


def fit_distributed(
    settings: TrainSettings, fit: Fit, inputs: Any, folder: Path, on_epoch: OnEpoch
) -> FitState:
    """Run `fit` on `settings.num_workers` workers; return the state after the last epoch.

    Ray must be initialised. `inputs` travels once through the object store. Checkpoints lie under
    `folder`; when a worker dies all go on from the newest one, `settings.max_failures` times.
    """
    board = ray.remote(num_cpus=0)(EpochBoard).remote()
    trainer = ray.train.torch.TorchTrainer(
        _train_worker,
        train_loop_config={"fit": fit, "inputs": [ray.put(inputs)], "board": board},
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
    with result.checkpoint.as_directory() as checkpoint:
        return _read_state(Path(checkpoint))


def _train_worker(config: dict[str, Any]) -> None:
    """One worker: its part of the rows, the plain fit, a checkpoint after every epoch."""
    context = ray.train.get_context()
    place = Place(context.get_world_rank(), context.get_world_size())

    def report(epoch: EpochReport, state: FitState) -> None:
        if place.rank > 0:
            ray.train.report({"loss": epoch.loss})
            return
        ray.get(config["board"].post.remote(epoch))
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / STATE_FILE)
            metrics = {"loss": epoch.loss, "epoch": epoch.epoch}
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))

    config["fit"](ray.get(config["inputs"][0]), place, _resume_state(), report)


def _prepare(model: torch.nn.Module) -> torch.nn.Module:
    """The model for data-parallel training. Buffers, such as text vectors, never change."""
    unsynced = {"forward_sync_buffers": False}
    prepared: torch.nn.Module = ray.train.torch.prepare_model(
        model, parallel_strategy_kwargs=unsynced
    )
    return prepared


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
