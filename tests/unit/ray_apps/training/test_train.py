"""`ray_apps.training.train`: what the registry is given of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.registry.kinds import MODEL_KINDS, registry_of
from ray_apps.settings import Settings
from ray_apps.training.train import fit_here, train_and_register
from tests.unit.ray_apps.registry.toy_kind import TOY, ToyTraining


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(MODEL_KINDS, TOY.name, TOY)
    return Settings(home=home)


def test_a_run_knows_settings_seed_and_every_epoch(settings: Settings) -> None:
    """Loss and held-out metric by epoch, the metric under the kind's own name."""
    from mlflow import MlflowClient

    train_and_register(settings, "toy", seed=5, fitter=fit_here)
    client = MlflowClient(registry_of(settings, "toy").uri)
    experiment = client.get_experiment_by_name(TOY.registered_name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    params = run.data.params
    assert (params["seed"], params["target"], params["num_epochs"]) == ("5", "3.0", "30")
    for metric, better in (("loss", -1), ("held_out_closeness", 1)):
        curve = client.get_metric_history(run.info.run_id, metric)
        assert [point.step for point in curve] == list(range(30))
        assert better * (curve[-1].value - curve[0].value) > 0


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
