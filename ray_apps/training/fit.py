"""The fit as a Ray Train job: the plain `reaseq.ranker.fit` on every worker's part of the rows."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

from reaseq.ranker.fit import EpochReport, FitState, Worker, fit, order_trends
from reaseq.ranker.settings import RankerSettings
from reaseq.settings import Settings
from reaseq.vocabulary import ItemVocabulary

if TYPE_CHECKING:  # the workers import this module and must not wait for Feast
    from ray_apps.training.training_set import TrainingSet

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


def fit_distributed(
    settings: Settings, data: TrainingSet, folder: Path, seed: int, on_epoch: OnEpoch
) -> FitState:
    """Train on `settings.train.num_workers` workers; return the state after the last epoch.

    Ray must be initialised. Checkpoints lie under `folder`; a worker that dies costs one epoch at
    most, `settings.train.max_failures` times.
    """
    board = ray.remote(num_cpus=0)(EpochBoard).remote()
    rows = data.rows
    trends, _ = order_trends(data.rows, data.vocabulary, settings.ranker)
    shared = ray.put((rows, data.vocabulary.item_ids, data.text_vectors, trends))
    trainer = ray.train.torch.TorchTrainer(
        _train_worker,
        train_loop_config={
            "settings": settings,
            "shared": [shared],
            "seed": seed,
            "board": board,
        },
        scaling_config=ScalingConfig(
            num_workers=settings.train.num_workers, use_gpu=settings.train.use_gpu
        ),
        run_config=RunConfig(
            name="fit",
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(max_failures=settings.train.max_failures),
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
    settings: Settings = config["settings"]
    rows, item_ids, text_vectors, trends = ray.get(config["shared"][0])
    context = ray.train.get_context()
    num_workers = context.get_world_size()
    ranker = _for_one_of(num_workers, settings.ranker)
    num_steps = math.ceil(math.ceil(rows.num_rows / num_workers) / ranker.batch_size)

    def report(epoch: EpochReport, state: FitState) -> None:
        if context.get_world_rank() > 0:
            ray.train.report({"loss": epoch.loss})
            return
        ray.get(config["board"].post.remote(epoch))
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / STATE_FILE)
            metrics = {"loss": epoch.loss, "epoch": epoch.epoch}
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))

    fit(
        _rows_of_worker(rows, context.get_world_rank(), num_workers),
        ItemVocabulary(item_ids),
        np.array(text_vectors),
        ranker,
        trends=trends,
        seed=config["seed"],
        worker=Worker(context.get_world_rank(), num_steps, _prepare),
        resume=_resume_state(),
        on_epoch=report,
    )


def _for_one_of(num_workers: int, settings: RankerSettings) -> RankerSettings:
    """The batch size is that of all workers together, so their number does not change the model."""
    return settings.model_copy(update={"batch_size": max(1, settings.batch_size // num_workers)})


def _prepare(model: torch.nn.Module) -> torch.nn.Module:
    """The model for data-parallel training. Its only buffer, the text vectors, never changes."""
    unsynced = {"forward_sync_buffers": False}
    prepared: torch.nn.Module = ray.train.torch.prepare_model(
        model, parallel_strategy_kwargs=unsynced
    )
    return prepared


def _rows_of_worker(rows: pa.Table, rank: int, num_workers: int) -> pa.Table:
    """Every `num_workers`-th row, so that each worker sees all of the time there is."""
    return rows.take(pa.array(range(rank, rows.num_rows, num_workers), pa.int64()))


def _resume_state() -> FitState | None:
    """The state of the last checkpoint, when this worker takes over after a failure."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return _read_state(Path(folder))


def _read_state(folder: Path) -> FitState:
    state: FitState = torch.load(folder / STATE_FILE, weights_only=True)
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
