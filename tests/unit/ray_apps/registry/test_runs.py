"""Every training is a run of MLflow that its plain API can read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

import reaseq
from ray_apps.registry.connection import Connection
from ray_apps.registry.errors import RegistryError, RegistryUnavailableError
from ray_apps.registry.lineage import source_commit
from ray_apps.registry.registry import Registry
from ray_apps.registry.training_run import TrainingRun
from tests.unit.ray_apps.registry.training import train

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run


@pytest.fixture
def client(registry: Registry) -> MlflowClient:
    """MLflow's own client on the registry's file."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)


def runs_of(client: MlflowClient, kind: str) -> list[Run]:
    """The runs of the ranker's experiment, oldest first."""
    experiment = client.get_experiment_by_name("reaseq-ranker")
    assert experiment is not None
    return list(
        client.search_runs(
            [experiment.experiment_id],
            f"tags.kind = '{kind}'",
            order_by=["attributes.start_time ASC"],
        )
    )


def test_a_training_is_a_run_with_parameters_and_lineage(
    registry: Registry, client: MlflowClient
) -> None:
    """Nested settings have dots in their names; more than MLflow takes at once are no problem."""
    registry.promote(train(registry))
    many = {f"p{number}": number for number in range(150)}
    params = {"seed": 3, "ranker": {"learning_rate": 0.5, "layers": {"num": 2}}, **many}
    with registry.begin(params, {"feature_service": "ranker_v1"}) as run:
        run.folder.mkdir()
        run.complete({"trained_up_to_ms": "17", "num_events": "12"})
    _, made = runs_of(client, "training")
    data = made.data
    assert (data.params["seed"], data.params["ranker.learning_rate"]) == ("3", "0.5")
    assert (data.params["ranker.layers.num"], data.params["p149"]) == ("2", "149")
    assert data.tags["feature_service"] == "ranker_v1"
    assert (data.tags["trained_up_to_ms"], data.tags["num_events"]) == ("17", "12")
    assert data.tags["reaseq_version"] == reaseq.__version__
    assert data.tags["parent_champion"] == "v0001"
    assert (made.info.run_name, made.info.status) == ("v0002", "FINISHED")


def test_metrics_have_a_step_each(registry: Registry, client: MlflowClient) -> None:
    """The loss of every epoch is a curve in MLflow, and the newest value is a figure here."""
    with registry.begin({}) as run:
        for epoch, loss in enumerate([0.9, 0.5, 0.25]):
            run.log_metrics({"loss": loss, "held_out_ndcg": loss / 2}, epoch)
        run.folder.mkdir()
        run.complete({})
    curve = client.get_metric_history(run.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(0, 0.9), (1, 0.5), (2, 0.25)]
    assert registry.list()[0].figures == {"loss": 0.25, "held_out_ndcg": 0.125}


def test_the_comparison_is_on_the_challengers_run(registry: Registry, client: MlflowClient) -> None:
    """Metrics under the caller's names, newer than any of the training, and a verdict tag."""
    with registry.begin({}) as run:
        run.log_metrics({"ndcg_at_20": 0.9}, 12)
        run.folder.mkdir()
        run.complete({})
    registry.record(run.version, "refused", {"ndcg_at_20": 0.25, "champion_ndcg_at_20": 0.5})
    data = client.get_run(run.run_id).data
    assert data.metrics == {"ndcg_at_20": 0.25, "champion_ndcg_at_20": 0.5}
    assert data.tags["verdict"] == "refused"


def test_a_name_that_mlflow_does_not_accept_is_refused(registry: Registry) -> None:
    """At once, not when hours of training are to be kept; and the training may go on."""
    with registry.begin({}) as run:
        with pytest.raises(RegistryError, match=r"refuses this: Invalid value .*champion's"):
            run.log_metrics({"champion's": 1.0}, 0)
        run.folder.mkdir()
        run.complete({})
    assert registry.versions() == [run.version]


class Away:
    """A connection to a registry that is away until told otherwise; and its client."""

    def __init__(self) -> None:
        self.is_away = True
        self.steps: list[int] = []

    @contextmanager
    def reading(self) -> Iterator[Away]:
        if self.is_away:
            raise RegistryUnavailableError("away")
        yield self

    def log_batch(self, run_id: str, metrics: list[Metric]) -> None:
        self.steps += [metric.step for metric in metrics]


def test_metrics_wait_for_a_registry_that_is_away(tmp_path: Path) -> None:
    """What could not be sent goes with the next step, once."""
    away = Away()
    connection = cast(Connection, away)
    run = TrainingRun(
        connection, "v0001", tmp_path, "id", finish=lambda tags: None, abandon=lambda: None
    )
    run.log_metrics({"loss": 0.9}, 0)
    run.log_metrics({"loss": 0.7}, 1)
    away.is_away = False
    run.log_metrics({"loss": 0.5}, 2)
    run.log_metrics({"loss": 0.4}, 3)
    assert away.steps == [0, 1, 2, 3]


# The folder


def test_the_model_folder_is_the_source_of_the_version(
    registry: Registry, client: MlflowClient, tmp_path: Path
) -> None:
    """MLflow lists and downloads it, and on one disk it takes no room of its own."""
    version = train(registry)
    made = client.get_model_version("reaseq-ranker", "1")
    assert made.source == f"runs:/{made.run_id}/model"
    artifacts = [file.path for file in client.list_artifacts(made.run_id)]
    assert artifacts == ["model", "training.log"]
    (tmp_path / "elsewhere").mkdir()
    copy = Path(client.download_artifacts(made.run_id, "model", str(tmp_path / "elsewhere")))
    assert (copy / "manifest.json").read_text() == "{}"
    served = registry.folder_of(version) / "manifest.json"
    stored = Path(client.get_run(made.run_id).info.artifact_uri.removeprefix("file://"))
    assert (stored / "model" / "manifest.json").samefile(served)


def test_a_discarded_version_leaves_its_run(registry: Registry, client: MlflowClient) -> None:
    """The folder is gone from MLflow's artifacts too; what the training reached stays known."""
    registry.discard(train(registry))
    (run,) = runs_of(client, "training")
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["training.log"]


def test_a_home_that_was_moved_serves_and_trains(registry: Registry, tmp_path: Path) -> None:
    """Its models are found where they are now; MLflow's artifacts stay in the old place."""
    first = train(registry)
    registry.promote(first)
    shutil.copytree(tmp_path / "models", tmp_path / "moved" / "models")
    moved = Registry(tmp_path / "moved" / "models")
    assert moved.folder_of(first) == tmp_path / "moved" / "models" / first
    assert moved.versions() == [first]
    assert moved.champion == first
    assert moved.versions() == [first]
    assert train(moved) == "v0002"


# Failure


def test_a_training_that_fails_is_marked_and_discarded(
    registry: Registry, client: MlflowClient
) -> None:
    """The run stays, FAILED, with the traceback in its log; version and folder do not."""
    run = registry.begin({"seed": 1})
    run.log_metrics({"loss": 0.5}, 0)
    run.folder.mkdir()
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    (failed,) = runs_of(client, "training")
    assert failed.info.status == "FAILED"
    assert failed.data.metrics == {"loss": 0.5}
    log = Path(client.download_artifacts(run.run_id, "training.log")).read_text()
    assert "step 0  loss 0.5" in log
    assert "ZeroDivisionError: division by zero" in log
    assert not run.folder.exists()
    assert registry.list() == []
    assert train(registry) == "v0002"


def test_a_training_that_is_left_incomplete_is_discarded(
    registry: Registry, client: MlflowClient
) -> None:
    """Without an exception, too."""
    with registry.begin({}) as run:
        run.folder.mkdir()
    assert runs_of(client, "training")[0].info.status == "FAILED"
    assert registry.list() == []


def test_why_a_training_failed_is_said_though_the_registry_is_away(
    registry: Registry, tmp_path: Path
) -> None:
    """The error of the training comes through, and its folder is gone."""
    run = registry.begin({})
    run.folder.mkdir()
    (tmp_path / "models" / "registry.db").unlink()
    (tmp_path / "models" / "registry.db").mkdir()
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    assert not run.folder.exists()


def test_a_champion_outlives_an_error_after_its_promotion(registry: Registry) -> None:
    """What serves is not taken away by what went wrong later in the block."""
    run = registry.begin({})
    run.folder.mkdir()
    run.complete({})
    registry.promote(run.version)
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    assert registry.versions() == [registry.champion] == [run.version]


# The champions


def test_promotions_are_runs_below_the_training(registry: Registry, client: MlflowClient) -> None:
    """MLflow's pages show under each training when and why it took over."""
    first, second = train(registry), train(registry)
    registry.promote(first, "the first model")
    registry.promote(second, "it won")
    registry.rollback()
    trained, _ = runs_of(client, "training")
    promotions = runs_of(client, "promotion")
    assert [run.info.run_name for run in promotions] == [
        "promotion of v0001",
        "promotion of v0002",
        "rollback to v0001",
    ]
    tags = promotions[2].data.tags
    assert (tags["version"], tags["previous"], tags["is_rollback"]) == (first, second, "true")
    assert tags["mlflow.parentRunId"] == trained.info.run_id


def test_an_installed_package_has_no_commit(tmp_path: Path) -> None:
    """The checkout it is installed below, if any, is somebody else's."""
    assert source_commit(tmp_path) is None
