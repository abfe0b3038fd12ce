"""The connection to MLflow: made at first use, one writer at a time, errors that name the setting.

MLflow takes seconds to import, so nothing here imports it before a registry is asked something.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from ray_apps.registry.errors import RegistryError, RegistryUnavailableError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.entities import PagedList

Entity = TypeVar("Entity")

MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else it reports on every table it creates.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow would try for minutes. A replica asks again after half a second, so once is enough.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""Environment that MLflow reads; what is set already wins."""

PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "600", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5"}
"""The same while a model folder travels: a server may be silent until it has stored a file, and a
minute without it must not cost hours of training."""

KIND_TAG = "kind"
"""Of a run: `training` or `promotion`."""

SERVER_SCHEMES = ("http://", "https://", "databricks")


class Connection:
    """A registered model of MLflow and the experiment of the same name.

    `folder` is where an experiment that is made here keeps its artifacts, unless `uri` is a server,
    which has a place of its own.
    """

    def __init__(self, uri: str, name: str, folder: Path) -> None:
        self.uri = uri
        self.name = name
        self._folder = folder
        is_file = uri.startswith("sqlite:///")
        self._file = Path(uri.removeprefix("sqlite:///")).absolute() if is_file else None
        self._lock_path = (self._file or folder / "registry").with_suffix(".lock")
        # SQLite's tables are not made twice, and a promotion is one step. With a server, those who
        # share no folder could still promote at one time: the alias is right, whoever was last.
        self._lock = FileLock(self._lock_path, poll_interval=0.01)

    @property
    def is_empty(self) -> bool:
        """No registry was ever made; spares those who only look the two seconds of making one."""
        return self._file is not None and not self._file.exists()

    @contextmanager
    def reading(self) -> Iterator[MlflowClient]:
        """The client, with MLflow's errors turned into RegistryError."""
        client = self._client
        with translated_errors(self.uri):
            yield client

    @contextmanager
    def changing(self) -> Iterator[MlflowClient]:
        """The client, while no other process that shares the lock file changes anything."""
        client = self._client
        with self._locked(), translated_errors(self.uri):
            yield client

    def find_experiment(self) -> str | None:
        """The id of the experiment, None before the first training."""
        with self.reading() as client:
            found = client.get_experiment_by_name(self.name)
        return found.experiment_id if found else None

    @cached_property
    def experiment_id(self) -> str:
        """The id of the experiment, which is made if there is none."""
        with self.changing() as client:
            return self.find_experiment() or _create_experiment(
                client, self.name, None if self._is_server else (self._folder / "runs").as_uri()
            )

    def runs(self, kind: str) -> list[Run]:
        """All runs of a kind, oldest first."""
        experiment_id = self.find_experiment()
        if experiment_id is None:
            return []
        with self.reading() as client:
            return every_page(
                lambda token: client.search_runs(
                    [experiment_id],
                    f"tags.{KIND_TAG} = '{kind}'",
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
            )

    @property
    def _is_server(self) -> bool:
        return self.uri.startswith(SERVER_SCHEMES)

    @cached_property
    def _client(self) -> MlflowClient:
        """Made at first use, and with it whatever the registry lacks."""
        for key, value in MLFLOW_DEFAULTS.items():
            os.environ.setdefault(key, value)
        # Here: it takes seconds, and most commands need no registry.
        from mlflow import MlflowClient

        with translated_errors(self.uri), self._locked():
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            _ensure_registered_model(client, self.name)
        return client

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield


def every_page(search: Callable[[str | None], PagedList[Entity]]) -> list[Entity]:
    """All results of a search that MLflow answers in pages."""
    page = search(None)
    found = list(page)
    while page.token:
        page = search(page.token)
        found += page
    return found


def without_password(uri: str) -> str:
    """A URI that may be shown."""
    return re.sub(r"//.*@", "//***@", uri)


@contextmanager
def translated_errors(uri: str) -> Iterator[None]:
    """MLflow's errors as RegistryError, without a password.

    What MLflow cannot accept is named as such; anything else names the setting to look at.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        shown = without_password(uri)
        reason = str(error).splitlines()[0].replace(uri, shown)
        if getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE":
            raise RegistryError(f"the model registry {shown} refuses this: {reason}") from error
        raise RegistryUnavailableError(
            f"the model registry {shown} does not answer as it should: {reason}; "
            "check the setting registry.uri and that its server runs"
        ) from error


@contextmanager
def patient() -> Iterator[None]:
    """More time for this process; what a user set in the environment stays."""
    before = {key: os.environ.get(key) for key in PATIENT}
    for key, value in PATIENT.items():
        if before[key] == MLFLOW_DEFAULTS[key]:
            os.environ[key] = value
    try:
        yield
    finally:
        for key, old in before.items():
            if old is not None:
                os.environ[key] = old


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        _unless_it_exists(lambda: client.create_registered_model(name))


def _create_experiment(client: MlflowClient, name: str, artifact_location: str | None) -> str:
    _unless_it_exists(lambda: client.create_experiment(name, artifact_location))
    found = client.get_experiment_by_name(name)
    assert found is not None
    return str(found.experiment_id)


def _unless_it_exists(create: Callable[[], object]) -> None:
    """Create something that another process, with another lock file, may have created first."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
