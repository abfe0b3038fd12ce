"""`ray_apps.training.train` and `training_run`: what the registry is told of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.registry.kinds import MODEL_KINDS, registry_of
from ray_apps.settings import Settings
from ray_apps.training import train
from ray_apps.training.train import fit_here, train_and_register
from ray_apps.training.training_run import TrainingRun
from tests.unit.ray_apps.registry.toy_kind import TOY, ToyTraining


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(MODEL_KINDS, TOY.name, TOY)
    return Settings(home=tmp_path)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRun]:
    """The runs that trainings begin."""
    begun: list[TrainingRun] = []

    class Kept(TrainingRun):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            begun.append(self)

    monkeypatch.setattr("ray_apps.training.training_run.TrainingRun", Kept)
    return begun


def test_a_run_knows_settings_seed_and_every_epoch(
    settings: Settings, runs: list[TrainingRun]
) -> None:
    """Loss and held-out metric by epoch, the metric under the kind's own name."""
    train_and_register(settings, "toy", seed=5, fitter=fit_here)
    (run,) = runs
    assert run.params["seed"] == 5
    assert (run.params["target"], run.params["num_epochs"]) == (3.0, 30)
    assert [step for step, _ in run.metrics] == list(range(30))
    first, last = run.metrics[0][1], run.metrics[-1][1]
    assert set(first) == {"loss", "held_out_closeness"}
    assert last["loss"] < first["loss"]
    assert last["held_out_closeness"] > first["held_out_closeness"]


def test_settings_become_parameters_with_dots() -> None:
    """A section in a section keeps its name."""
    nested = {"a": 1, "b": {"c": 2, "d": {"e": [3]}}}
    assert dict(train._flat(nested)) == {"a": 1, "b.c": 2, "b.d.e": [3]}


def test_checkpoints_are_gone_when_the_training_is_over(settings: Settings) -> None:
    """Also when the fit fails; they lie beside the versions meanwhile."""
    seen: list[Path] = []

    def failing(_: object, fit: object, folder: Path, on_epoch: object) -> dict[str, object]:
        folder.mkdir(parents=True)
        (folder / "checkpoint").touch()
        seen.append(folder)
        raise RuntimeError("a worker died too often")

    with pytest.raises(RuntimeError, match="too often"):
        train_and_register(settings, "toy", fitter=failing)
    assert seen == [settings.home / "toys" / ".training-v0001"]
    assert not seen[0].exists()
    assert registry_of(settings, "toy").list() == []


def test_the_last_step_comes_after_the_version_is_complete(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may load the version; if it fails the version stays, for it is whole."""
    found: list[list[str]] = []

    def finish(self: ToyTraining, version: str) -> None:
        found.append(registry_of(settings, "toy").versions())
        raise ConnectionError("the feature store is away")

    monkeypatch.setattr(ToyTraining, "finish", finish)
    with pytest.raises(ConnectionError):
        train_and_register(settings, "toy", fitter=fit_here)
    assert found == [["v0001"]]
    assert registry_of(settings, "toy").versions() == ["v0001"]
