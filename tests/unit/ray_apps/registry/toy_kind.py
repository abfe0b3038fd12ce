"""A third kind of model, as anybody would add it: this file, and the row at its end."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ray_apps.registry.model_kind import ModelKind, TrainingRequest
from ray_apps.settings import Settings
from reaseq.artifacts import Manifest, read_manifest, read_weights, save_artifact
from reaseq.training.loop import FitState, OnEpoch, WeightedLoss, train, trained_weights
from reaseq.training.settings import FitSettings
from reaseq.training.worker import Worker
from reaseq.types import Int64s
from reaseq.vocabulary import ItemVocabulary


class ToySettings(FitSettings):
    """Learn the mean of some numbers."""

    num_epochs: int = 30
    learning_rate: float = 0.2
    target: float = 3.0


class MeanObjective:
    """A single weight that is to be the target."""

    def __init__(self, settings: ToySettings) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        self.lengths = np.zeros(64, np.int64)
        self._target = settings.target

    def loss(self, forward: nn.Module, rows: Int64s, rng: np.random.Generator) -> WeightedLoss:
        ones = torch.ones(len(rows), 1)
        losses = (forward(ones) - self._target).square()
        return WeightedLoss(losses.sum(), float(len(rows)))

    def held_out(self) -> float | None:
        weights: torch.Tensor = self.model.weight
        return -abs(float(weights.detach()) - self._target)


class ToyFit(NamedTuple):
    settings: ToySettings
    seed: int

    def run(self, worker: Worker, resume: FitState | None, on_epoch: OnEpoch) -> nn.Module:
        torch.manual_seed(self.seed)
        objective = MeanObjective(self.settings)
        train(
            objective,
            self.settings,
            seed=self.seed,
            worker=worker,
            resume=resume,
            on_epoch=on_epoch,
        )
        return objective.model


class ToyTraining:
    def __init__(self, settings: ToySettings, seed: int) -> None:
        self.fit = ToyFit(settings, seed)
        self.finished: list[str] = []

    def save(self, state: FitState, version: str, folder: Path) -> Manifest[ToySettings]:
        if self.fit.seed < 0:
            raise OSError("no space left on device")
        model = nn.Linear(1, 1, bias=False)
        model.load_state_dict(trained_weights(state))
        manifest = Manifest[ToySettings](
            kind="toy",
            version=version,
            trained_up_to_ms=7,
            settings=self.fit.settings,
            num_items=0,
        )
        save_artifact(folder, manifest, model, ItemVocabulary([]))
        return manifest

    def finish(self, version: str) -> None:
        self.finished.append(version)


def prepare(settings: Settings, request: TrainingRequest) -> ToyTraining:
    request.on_progress("counting to three", 3, 3)
    return ToyTraining(ToySettings(), request.seed)


def load(settings: Settings, folder: Path, device: str) -> float:
    read_manifest(folder, "toy", ToySettings)
    model = nn.Linear(1, 1, bias=False)
    read_weights(folder, model)
    return float(model.weight.detach())


def follow_up(settings: Settings, version: str, on_progress: object) -> str:
    return f"{version} was followed up"


HERE = "tests.unit.ray_apps.registry.toy_kind"

TOY = ModelKind(
    name="toy",
    registered_name="reaseq-toy",
    folder="toys",
    settings_of=lambda settings: ToySettings(),
    metric="closeness",
    prepare=f"{HERE}:prepare",
    load=f"{HERE}:load",
    follow_up=f"{HERE}:follow_up",
)
