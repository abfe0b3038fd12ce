"""Which models there are, how each was trained, and which is champion: MLflow, and a folder each.

Every training is an MLflow run, in an experiment named like the registered model. What it makes is
a version, whose source is the run's artifact `model`. The alias `champion` is the one truth of who
serves. Whoever serves watches it, so a promotion by any process, and in MLflow's own pages too,
reaches every replica without a restart. The registry is one SQLite file next to the models, or
whatever MLflow server or database a URI names. Version 1 of MLflow is the folder `v0001`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ray_apps.registry.connection import KIND_TAG, Connection, every_page
from ray_apps.registry.entries import (
    VERDICT_TAG,
    ModelEntry,
    entry_of,
    name_of,
    number_of,
    run_id_of,
    state_of,
)
from ray_apps.registry.errors import RegistryError
from ray_apps.registry.lineage import lineage_tags
from ray_apps.registry.model_folders import ARTIFACT, ModelFolders
from ray_apps.registry.params import log_params
from ray_apps.registry.promotions import (
    Promotion,
    champions_in_turn,
    read_promotions,
    record_promotion,
)
from ray_apps.registry.training_run import TrainingRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

Verdict = Literal["first", "promoted", "refused"]
"""What a comparison with the champion came to; `first` had no champion to beat."""

CHAMPION = "champion"
"""The alias of the version that serves."""

PARENT_TAG = "parent_champion"
"""Of a training: the champion when it began."""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Registry:
    """The versions of one registered model.

    `folder` holds their folders, `uri` is the MLflow registry (default: `registry.db` in `folder`).
    Whatever asks the registry raises RegistryError when it does not answer.
    """

    def __init__(self, folder: Path, uri: str | None = None, name: str = "reaseq-ranker") -> None:
        self._folders = ModelFolders(folder)
        self._name = name
        self._connection = Connection(uri or sqlite_uri(folder), name, self._folders.root)

    @property
    def uri(self) -> str:
        """Where the registry is; may hold a password."""
        return self._connection.uri

    @property
    def folder(self) -> Path:
        """Where the folders of all versions are."""
        return self._folders.root

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever trained or asked for here."""
        return self._connection.is_empty

    def folder_of(self, version: str) -> Path:
        """Where a version lies. One that only MLflow's server holds is downloaded first, once."""
        folder = self._folders[version]
        if folder.is_dir() or self.is_empty:
            return folder
        with self._connection.reading() as client:
            run_ids = {name_of(made): run_id_of(made) for made in _all_versions(client, self._name)}
            run = self._trainings().get(run_ids.get(version, ""))
            if run and state_of(run, folder) == "complete":
                self._folders.fetch(client, run, version)
        return folder

    def begin(self, params: Mapping[str, object], tags: Mapping[str, str] = NOTHING) -> TrainingRun:
        """Start the run of a training and take the next version, which nobody else gets.

        `params` may be nested: names are joined by dots. `tags` say what is trained on.
        """
        parent = self.champion
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._new_run(parent, tags) as run_id, self._connection.changing() as client:
            log_params(client, run_id, params)
            version = self._reserve(client, run_id)
            client.update_run(run_id, name=version)
        return TrainingRun(
            self._connection,
            version,
            self._folders[version],
            run_id,
            finish=lambda tags: self._finish(version, run_id, tags),
            abandon=lambda: self._abandon(version, run_id),
        )

    def discard(self, version: str) -> None:
        """Remove a version and its folder; it is not given again. Its run remains in MLflow."""
        entry = self._entry(version)
        if entry.is_champion:
            raise RegistryError(f"{version} is the champion: promote another before discarding it")
        with self._connection.changing() as client:
            client.delete_model_version(self._name, number_of(version))
            run = self._trainings().get(entry.run_id)
            if entry.state == "training":
                client.set_terminated(entry.run_id, "KILLED")
        self._folders.remove(run, version)

    def record(self, version: str, verdict: Verdict, figures: Mapping[str, float]) -> None:
        """Keep what a version's comparison with the champion came to, as metrics of its run."""
        from mlflow.entities import Metric, RunTag

        run_id = self._entry(version).run_id
        at_ms = time.time_ns() // 1_000_000
        with self._connection.changing() as client:
            known = client.get_run(run_id).data.metrics
            steps = {name: _next_step(client, run_id, name) for name in figures if name in known}
            client.log_batch(
                run_id,
                metrics=[
                    Metric(name, float(value), at_ms, steps.get(name, 0))
                    for name, value in figures.items()
                ],
                tags=[RunTag(VERDICT_TAG, verdict)],
            )

    def versions(self) -> list[str]:
        """All that could serve, oldest first."""
        return [entry.version for entry in self.list() if entry.state == "complete"]

    @property
    def champion(self) -> str | None:
        """The version that serves, None before the first promotion."""
        if self.is_empty:
            return None
        from mlflow.exceptions import MlflowException

        with self._connection.reading() as client:
            try:
                # Costs the same however many versions there are, for replicas ask all the time.
                return name_of(client.get_model_version_by_alias(self._name, CHAMPION))
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
                return None  # what MLflow says to a name that has no such alias

    def promote(self, version: str, reason: str = "") -> None:
        """Make a version champion. Raises RegistryError when it cannot serve."""
        with self._connection.changing() as client:
            entry = self._entry(version)
            if entry.state == "training":
                raise RegistryError(f"{version} is still in training, or its training was killed")
            if entry.state == "gone":
                raise RegistryError(f"the folder of {version} is gone: {self._folders[version]}")
            previous = self.champion
            client.set_registered_model_alias(self._name, CHAMPION, number_of(version))
            # Last: cut off before this, the champion is right and only its line is missing.
            promotion = Promotion(version, datetime.now(UTC), reason, False, previous)
            record_promotion(self._connection, promotion, entry.run_id)

    def rollback(self) -> str:
        """Make the champion before this one champion again; once more goes back further.

        Returns its version. Those whose folder is gone are passed over. Raises RegistryError when
        nothing is left to go back to.
        """
        with self._connection.changing() as client:
            current = self.champion
            entry = self._former_champion(current)
            reason = f"instead of {current}"
            promotion = Promotion(entry.version, datetime.now(UTC), reason, True, current)
            # First: cut off after this, the next rollback comes to the same version.
            record_promotion(self._connection, promotion, entry.run_id)
            client.set_registered_model_alias(self._name, CHAMPION, number_of(entry.version))
        return entry.version

    def history(self) -> list[Promotion]:
        """The changes of champion made here, oldest first."""
        return [] if self.is_empty else read_promotions(self._connection)

    def list(self) -> list[ModelEntry]:
        """Every version, oldest first."""
        if self.is_empty:
            return []
        champion, runs = self.champion, self._trainings()
        promotions = {promotion.version: promotion for promotion in self.history()}
        with self._connection.reading() as client:
            found = _all_versions(client, self._name)
        return [
            entry_of(
                made,
                runs.get(run_id_of(made)),
                self._folders[name_of(made)],
                champion,
                promotions.get(name_of(made)),
            )
            for made in found
        ]

    @contextmanager
    def _new_run(self, parent: str | None, tags: Mapping[str, str]) -> Iterator[str]:
        """A run that is marked FAILED when what follows does not succeed."""
        with self._connection.reading() as client:
            run = client.create_run(
                self._connection.experiment_id,
                tags={
                    **lineage_tags(),
                    **({PARENT_TAG: parent} if parent else {}),
                    **tags,
                    KIND_TAG: "training",
                },
            )
        run_id: str = run.info.run_id
        try:
            yield run_id
        except BaseException:
            with suppress(RegistryError), self._connection.reading() as client:
                client.set_terminated(run_id, "FAILED")
            raise

    def _reserve(self, client: MlflowClient, run_id: str) -> str:
        """A version for a run, under a name that no folder has."""
        while True:
            made = client.create_model_version(
                self._name, source=f"runs:/{run_id}/{ARTIFACT}", run_id=run_id
            )
            if not self._folders[name_of(made)].exists():
                return name_of(made)
            # A folder from a registry that was lost: never train over it.
            client.delete_model_version(self._name, made.version)

    def _finish(self, version: str, run_id: str, tags: Mapping[str, str]) -> None:
        """Store the folder with the run, then let the version serve."""
        from mlflow.entities import RunTag

        with self._connection.reading() as client:
            self._folders.store(client, client.get_run(run_id), version)
        with self._connection.changing() as client:
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
            # Last: until then it is in training.
            client.set_terminated(run_id)

    def _abandon(self, version: str, run_id: str) -> None:
        """Give up a version whose training failed."""
        self.discard(version)
        with self._connection.reading() as client:
            client.set_terminated(run_id, "FAILED")

    def _former_champion(self, current: str | None) -> ModelEntry:
        """The version to go back to; RegistryError when there is none."""
        others = {e.version: e for e in self.list() if e.state == "complete"}
        others.pop(current or "", None)
        former = [v for v in champions_in_turn(self.history()) if v in others]
        if not former:
            raise RegistryError(
                f"no champion before {current} to go back to; versions that can be promoted: "
                f"{', '.join(others) or 'none'}"
            )
        return others[former[-1]]

    def _entry(self, version: str) -> ModelEntry:
        """The entry of a version; RegistryError when there is none such."""
        entries = self.list()
        for entry in entries:
            if entry.version == version:
                return entry
        there = ", ".join(e.version for e in entries if e.state == "complete") or "none"
        raise RegistryError(f"no model {version}; there are {there}")

    def _trainings(self) -> dict[str, Run]:
        """The runs of all trainings by their id."""
        return {run.info.run_id: run for run in self._connection.runs("training")}


def sqlite_uri(folder: Path) -> str:
    """The registry that is a file in `folder`."""
    return f"sqlite:///{folder.absolute() / 'registry.db'}"


def _all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """MLflow's versions of a registered model, oldest first."""
    found: list[ModelVersion] = every_page(
        lambda token: client.search_model_versions(f"name='{name}'", page_token=token)
    )
    return sorted(found, key=lambda made: int(made.version))


def _next_step(client: MlflowClient, run_id: str, metric: str) -> int:
    """A step after all of a metric, so that its newest value is the one logged there."""
    newest: int = max(point.step for point in client.get_metric_history(run_id, metric))
    return newest + 1
