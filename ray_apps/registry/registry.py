"""Which models there are and which is champion: MLflow's model registry, and a folder a version.

The alias `champion` of the registered model is the one truth of who serves. Whoever serves watches
it (`ray_apps.serving.recommender`), so a promotion by any process, and in MLflow's own pages too,
reaches every replica without a restart. The registry is one SQLite file beside the models, or
whatever MLflow server a URI names; the models themselves stay in folders that all can reach, and
version 1 of MLflow is the folder `v0001`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

State = Literal["training", "complete", "gone"]
"""Of a version: its name is taken, it may serve, or its folder is no longer there."""

Verdict = Literal["first", "promoted", "refused"]
"""What a comparison with the champion came to; `first` had no champion to beat."""

CHAMPION = "champion"
"""The alias of the version that serves."""

STATE_TAG, FOLDER_TAG, VERDICT_TAG, FIGURES_TAG = "state", "folder", "verdict", "figures"
PROMOTIONS_TAG = "promotions"
TRAINED_UP_TO_TAG = "trained_up_to_ms"

MAX_PROMOTIONS_CHARS = 5000
"""What a tag holds on any MLflow server: the newest promotions that fit are kept."""

MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else it reports on every table it creates.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # MLflow would try for minutes. A replica asks again after half a second, so once is enough.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""Environment that MLflow reads; what is set already wins."""


class Promotion(NamedTuple):
    """One change of the champion."""

    version: str
    at: datetime
    why: str
    is_rollback: bool


class ModelEntry(NamedTuple):
    """What the registry knows of one version; `trained_up_to_ms` as `complete` was told."""

    version: str
    created_at: datetime
    state: State
    is_champion: bool
    verdict: str | None
    figures: dict[str, float]
    trained_up_to_ms: int | None
    last_promotion: Promotion | None


class Models:
    """The versions of one registered model.

    `folder` holds their folders, `uri` is the MLflow registry (default: `registry.db` in `folder`).
    Anything that asks the registry raises ValueError when it does not answer.
    """

    def __init__(self, folder: Path, uri: str | None = None, name: str = "reaseq-ranker") -> None:
        self._folder = folder.absolute()
        self._uri = uri or sqlite_uri(self._folder)
        self._name = name
        is_file = self._uri.startswith("sqlite:///")
        self._file = Path(self._uri.removeprefix("sqlite:///")).absolute() if is_file else None

    def folder_of(self, version: str) -> Path:
        """Where a version lies, or will lie."""
        return self._folder / version

    def reserve(self) -> str:
        """Take the next version name, for a model about to be trained; nobody gets it twice."""
        with self._changing() as client:
            while True:
                made = client.create_model_version(
                    self._name,
                    # An MLflow server refuses local paths here: the folder is in a tag.
                    source=f"reaseq://models/{self._name}",
                    tags={STATE_TAG: "training"},
                )
                version = _name_of(made)
                if not self.folder_of(version).exists():
                    break
                # A folder from a registry that was lost: never train over it.
                client.delete_model_version(self._name, str(made.version))
            folder = str(self.folder_of(version))
            client.set_model_version_tag(self._name, str(made.version), FOLDER_TAG, folder)
        return version

    def complete(self, version: str, tags: Mapping[str, str]) -> None:
        """A reserved version is trained and its folder whole: from now on it may serve.

        `tags` say where it is from, `trained_up_to_ms` among them.
        """
        if not self.folder_of(version).is_dir():
            raise ValueError(f"{version} is not complete: there is no {self.folder_of(version)}")
        with self._changing() as client:
            number = self._number_of(client, version)
            for key, value in {**tags, STATE_TAG: "complete"}.items():
                client.set_model_version_tag(self._name, number, key, value)

    def discard(self, version: str) -> None:
        """Remove a version and its folder; its name is not given again."""
        if version == self.champion:
            raise ValueError(f"{version} is the champion: promote another before discarding it")
        with self._changing() as client:
            client.delete_model_version(self._name, self._number_of(client, version))
        shutil.rmtree(self.folder_of(version), ignore_errors=True)

    def record(self, version: str, verdict: Verdict, figures: Mapping[str, float]) -> None:
        """Keep with a version what its comparison with the champion came to."""
        with self._changing() as client:
            number = self._number_of(client, version)
            figures_json = json.dumps(dict(figures))
            client.set_model_version_tag(self._name, number, FIGURES_TAG, figures_json)
            client.set_model_version_tag(self._name, number, VERDICT_TAG, verdict)

    def versions(self) -> list[str]:
        """All that could serve, oldest first."""
        return [entry.version for entry in self.list() if entry.state == "complete"]

    @property
    def champion(self) -> str | None:
        """The version that serves, None before the first promotion."""
        if self._is_empty:
            return None
        from mlflow.exceptions import MlflowException

        with self._reading() as client:
            try:
                # Costs the same however many versions there are, for replicas ask all the time.
                return _name_of(client.get_model_version_by_alias(self._name, CHAMPION))
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
                return None  # what MLflow says to a name that has no such alias

    def promote(self, version: str, why: str = "") -> None:
        """Make a version champion. Raises ValueError when it cannot serve."""
        with self._changing() as client:
            number = self._number_of(client, version)
            entry = next(e for e in self.list() if e.version == version)
            if entry.state == "training":
                raise ValueError(f"{version} is still in training, or its training was killed")
            if entry.state == "gone":
                raise ValueError(f"the folder of {version} is gone: {self.folder_of(version)}")
            client.set_registered_model_alias(self._name, CHAMPION, number)
            # Last: cut off before this, the champion is right and only its line is missing.
            self._log(client, Promotion(version, datetime.now(UTC), why, is_rollback=False))

    def rollback(self) -> str:
        """Make the champion before this one champion again; once more goes back further.

        Returns its version. Those whose folder is gone are passed over. Raises ValueError when
        nothing is left to go back to.
        """
        with self._changing() as client:
            current = self.champion
            versions = self.versions()
            former = [v for v in in_turn(self.history()) if v != current and v in versions]
            if not former:
                others = ", ".join(v for v in versions if v != current) or "none"
                raise ValueError(
                    f"no champion before {current} to go back to; versions that can be promoted: "
                    f"{others}"
                )
            version = former[-1]
            # First: cut off after this, the next rollback comes to the same version.
            self._log(client, Promotion(version, datetime.now(UTC), f"instead of {current}", True))
            number = self._number_of(client, version)
            client.set_registered_model_alias(self._name, CHAMPION, number)
        return version

    def history(self) -> list[Promotion]:
        """The changes of champion made here, oldest first; very old ones are forgotten."""
        if self._is_empty:
            return []
        with self._reading() as client:
            tags = client.get_registered_model(self._name).tags
        rows = json.loads(tags.get(PROMOTIONS_TAG, "[]"))
        return [Promotion(v, datetime.fromisoformat(at), why, back) for v, at, why, back in rows]

    def list(self) -> list[ModelEntry]:
        """Every version, oldest first."""
        if self._is_empty:
            return []
        champion = self.champion
        promotions = {promotion.version: promotion for promotion in self.history()}
        with self._reading() as client:
            found = client.search_model_versions(f"name='{self._name}'", max_results=10_000)
        entries = []
        for made in sorted(found, key=lambda made: int(made.version)):
            version, tags = _name_of(made), made.tags
            trained_up_to = tags.get(TRAINED_UP_TO_TAG)
            entries.append(
                ModelEntry(
                    version=version,
                    created_at=datetime.fromtimestamp(made.creation_timestamp / 1000, UTC),
                    state=self._state(version, tags),
                    is_champion=version == champion,
                    verdict=tags.get(VERDICT_TAG),
                    figures=json.loads(tags.get(FIGURES_TAG, "{}")),
                    trained_up_to_ms=int(trained_up_to) if trained_up_to else None,
                    last_promotion=promotions.get(version),
                )
            )
        return entries

    def _state(self, version: str, tags: Mapping[str, str]) -> State:
        if tags.get(STATE_TAG) == "training":
            return "training"
        return "complete" if self.folder_of(version).is_dir() else "gone"

    @property
    def _is_empty(self) -> bool:
        """No registry was ever made; spares those who only look the two seconds of making one."""
        return self._file is not None and not self._file.exists()

    def _number_of(self, client: MlflowClient, version: str) -> str:
        """MLflow's number of a version; ValueError when there is none such."""
        found = client.search_model_versions(f"name='{self._name}'", max_results=10_000)
        for made in found:
            if _name_of(made) == version:
                return str(made.version)
        there = ", ".join(self.versions()) or "none"
        raise ValueError(f"no model {version}; there are {there}")

    def _log(self, client: MlflowClient, promotion: Promotion) -> None:
        changes = [*self.history(), promotion]
        rows = [(p.version, p.at.isoformat(), p.why, p.is_rollback) for p in changes]
        while len(text := json.dumps(rows)) > MAX_PROMOTIONS_CHARS and len(rows) > 1:
            del rows[0]
        client.set_registered_model_tag(self._name, PROMOTIONS_TAG, text)

    @contextmanager
    def _changing(self) -> Iterator[MlflowClient]:
        """The client, while no other process that shares the folder changes anything."""
        client = self._client
        with self._locked(), self._reading():
            yield client

    @contextmanager
    def _reading(self) -> Iterator[MlflowClient]:
        """The client, with MLflow's errors told as what to look at."""
        client = self._client
        with _naming(self._uri):
            yield client

    @cached_property
    def _client(self) -> MlflowClient:
        """Made at the first use, and with it what is missing of the registry."""
        for key, value in MLFLOW_DEFAULTS.items():
            os.environ.setdefault(key, value)
        # Here: it takes seconds, and most commands need no registry.
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        with self._locked(), _naming(self._uri):
            client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            try:
                client.get_registered_model(self._name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                _create(client, self._name)
        return client

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """SQLite's tables are not made twice, and a promotion is one step.

        With a server, those who share no folder could still promote at one time: then the alias is
        right, and the history may miss one of the two.
        """
        path = (self._file or self._folder / "registry").with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def sqlite_uri(folder: Path) -> str:
    """The registry that is a file in `folder`."""
    return f"sqlite:///{folder.absolute() / 'registry.db'}"


def in_turn(history: list[Promotion]) -> list[str]:
    """The champions to go back through, the newest last; a rollback takes those after it away."""
    turn: list[str] = []
    for promotion in history:
        while promotion.is_rollback and turn and turn[-1] != promotion.version:
            turn.pop()
        if not turn or turn[-1] != promotion.version:
            turn.append(promotion.version)
    return turn


def _create(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        # Someone with another folder was quicker on the same server.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _naming(uri: str) -> Iterator[None]:
    """MLflow's errors as a ValueError that names the setting, without a password."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        shown = re.sub(r"//.*@", "//***@", uri)
        reason = str(error).splitlines()[0].replace(uri, shown)
        raise ValueError(
            f"the model registry {shown} does not answer as it should: {reason}; "
            "check the setting registry.uri and that its server runs"
        ) from error


def _name_of(made: ModelVersion) -> str:
    return f"v{int(made.version):04d}"
