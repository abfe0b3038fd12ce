"""One training of any kind of model, from its data to a complete version in the registry."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ray_apps.registry.kinds import kind_of, registry_of
from ray_apps.settings import Settings, TrainSettings
from ray_apps.training.training_run import begin
from reaseq.artifacts import Manifest
from reaseq.training.loop import EpochReport, Fit, FitState
from reaseq.training.worker import Worker

OnEpoch = Callable[[EpochReport], None]

OnProgress = Callable[[str, int, int], None]
"""Called with (what is done, how many are, of how many); (what, 0, 0) where nothing is counted."""

Fitter = Callable[[TrainSettings, Fit, Path, OnEpoch], FitState]
"""Runs a fit and returns its last state; checkpoints may lie under the folder."""


class TrainingRequest(NamedTuple):
    """What is asked of a training, whatever the kind of model."""

    before_ms: int | None = None
    """Learn only from what came before; None: from everything."""
    seed: int = 0
    on_progress: OnProgress = lambda what, done, total: None


class Training(Protocol):
    """The data of one training, and what becomes of the weights it gives."""

    @property
    def fit(self) -> Fit:
        """The fit, ready to travel to the workers."""
        ...

    def save(self, state: FitState, version: str, folder: Path) -> Manifest[Any]:
        """Write the model folder of a version from the fit's last state."""
        ...

    def finish(self, version: str) -> None:
        """What is to be done once the version is complete in the registry."""
        ...


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
    params = {**dict(_flat(row.settings_of(settings).model_dump(mode="json"))), "seed": seed}
    with begin(registry, params) as run:

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


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested values with dots in their names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
