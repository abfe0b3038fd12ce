"""One training as an MLflow run: its metrics step by step, a log, and the version it makes."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ray_apps.registry.connection import Connection, patient
from ray_apps.registry.errors import RegistryError, RegistryUnavailableError

if TYPE_CHECKING:
    from mlflow.entities import Metric

LOG_FILE = "training.log"
"""The artifact with a line per step, and the traceback of a training that failed."""

MAX_METRICS = 1000
"""MLflow takes no more at a time."""


class TrainingRun:
    """A version in training, as a context manager: leaving it without `complete` discards it.

    The run is then marked FAILED in MLflow and its log holds the traceback; the version and the
    folder are gone, and the version is not given again.
    """

    version: str
    """Unique, such as v0001; never given twice."""
    folder: Path
    """Where the model folder must be written; it does not exist yet."""
    run_id: str
    """MLflow's id of the run."""

    def __init__(
        self,
        connection: Connection,
        version: str,
        folder: Path,
        run_id: str,
        *,
        finish: Callable[[Mapping[str, str]], None],
        abandon: Callable[[], None],
    ) -> None:
        self.version, self.folder, self.run_id = version, folder, run_id
        self._connection = connection
        self._finish, self._abandon = finish, abandon
        self._waiting: list[Metric] = []
        self._lines: list[str] = []
        self._is_complete = False
        self._write(f"training of {version} begins")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of one step, an epoch for example.

        Hours of training do not end because a registry is away for a minute: metrics it cannot take
        now go with the next. Raises RegistryError for names that MLflow does not accept.
        """
        from mlflow.entities import Metric

        at_ms = time.time_ns() // 1_000_000
        values = "  ".join(f"{name} {value:.6g}" for name, value in metrics.items())
        self._write(f"step {step}  {values}")
        self._waiting += [
            Metric(name, float(value), at_ms, step) for name, value in metrics.items()
        ]
        try:
            self._send_metrics()
        except RegistryUnavailableError:
            return
        except RegistryError:
            self._waiting.clear()
            raise

    def complete(self, tags: Mapping[str, str]) -> None:
        """The folder is whole: it becomes the run's artifact, and the version may serve.

        `tags` say what it was trained on, `trained_up_to_ms` among them. Raises RegistryError when
        there is no folder, or the registry does not answer.
        """
        if not self.folder.is_dir():
            raise RegistryError(f"{self.version} is not complete: there is no {self.folder}")
        self._write(f"{self.version} is complete")
        with patient():
            self._send_metrics()
            self._send_log()
            self._finish(tags)
        self._is_complete = True

    def __enter__(self) -> TrainingRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._is_complete:
            return
        reason = "".join(traceback.format_exception(error)) if error else "left without complete()"
        self._write(f"{self.version} is discarded\n{reason}")
        # The caller must learn why the training failed, not that its failure went unrecorded.
        with suppress(RegistryError):
            self._send_log()
        if not self._is_complete:
            shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(RegistryError):
            self._abandon()

    def _send_metrics(self) -> None:
        with self._connection.reading() as client:
            while self._waiting:
                client.log_batch(self.run_id, metrics=self._waiting[:MAX_METRICS])
                del self._waiting[:MAX_METRICS]

    def _send_log(self) -> None:
        with self._connection.reading() as client:
            client.log_text(self.run_id, "\n".join(self._lines) + "\n", LOG_FILE)

    def _write(self, line: str) -> None:
        self._lines.append(f"{datetime.now(UTC):%F %T}  {line}")
