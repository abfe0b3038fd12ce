"""One training of any kind of model, from its data to a complete version in the registry."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_apps.registry.kinds import kind_of, registry_of
from ray_apps.registry.model_kind import OnProgress, TrainingRequest
from ray_apps.settings import Settings, TrainSettings
from reaseq.artifacts import Manifest
from reaseq.training.loop import EpochReport, Fit, FitState
from reaseq.training.worker import Worker

OnEpoch = Callable[[EpochReport], None]

Fitter = Callable[[TrainSettings, Fit, Path, OnEpoch], FitState]
"""Runs a fit and returns its last state; checkpoints may lie under the folder."""


def train_and_register(
    settings: Settings,
    kind: str,
    *,
    before_ms: int | None = None,
    seed: int = 0,
    on_epoch: OnEpoch = lambda report: None,
    on_progress: OnProgress = lambda what, done, total: None,
    fitter: Fitter | None = None,
) -> Manifest[Any]:
    """Train on everything before `before_ms` and save a new version; promotion is another step.

    The fit runs on Ray Train, so Ray must be initialised, or as `fitter` says (`fit_here`). A
    training that fails leaves no version. Raises ReaseqError when there is nothing to train on.
    """
    row, registry = kind_of(kind), registry_of(settings, kind)
    training = row.prepare_training(settings, TrainingRequest(before_ms, seed, on_progress))
    params = {**row.settings_of(settings).model_dump(mode="json"), "seed": seed}
    with registry.begin(params) as run:

        def report(epoch: EpochReport) -> None:
            held_out = {} if epoch.held_out is None else {f"held_out_{row.metric}": epoch.held_out}
            run.log_metrics({"loss": epoch.loss, **held_out}, epoch.epoch)
            on_epoch(epoch)

        scratch = run.folder.parent / f".training-{run.version}"
        try:
            state = (fitter or _on_ray_train())(settings.train, training.fit, scratch, report)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        manifest = training.save(state, run.version, run.folder)
        run.complete({"trained_up_to_ms": str(manifest.trained_up_to_ms)})
    training.finish(run.version)
    return manifest


def fit_here(settings: TrainSettings, fit: Fit, folder: Path, on_epoch: OnEpoch) -> FitState:
    """A fit in this process, without checkpoints."""
    states: list[FitState] = []

    def keep(report: EpochReport, state: FitState) -> None:
        states[:] = [state]
        on_epoch(report)

    fit.run(Worker(), None, keep)
    return states[-1]


def _on_ray_train() -> Fitter:
    from ray_apps.training.distributed import fit_distributed  # takes seconds to import

    return fit_distributed
