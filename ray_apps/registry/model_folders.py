"""A model's folder on this disk, and the same folder as artifact `model` of its MLflow run.

The folder that is trained into and served from has the version's name. MLflow's copy lies where the
experiment keeps its artifacts: hard links on the same disk, so it takes no room; an upload
otherwise. A machine that does not share the disk downloads it once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from filelock import FileLock

from ray_apps.registry.connection import patient

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ARTIFACT = "model"
"""The name of the model folder among the artifacts of its run."""


class ModelFolders:
    """The folders of all versions of a registered model."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def __getitem__(self, version: str) -> Path:
        """Where a version lies, or will lie."""
        return self.root / version

    def store(self, client: MlflowClient, run: Run, version: str) -> None:
        """Make the folder an artifact of its run."""
        artifacts = local_artifacts(run)
        if artifacts is None:
            client.log_artifacts(run.info.run_id, str(self[version]), ARTIFACT)
        else:
            shutil.copytree(
                self[version], artifacts / ARTIFACT, copy_function=_link, dirs_exist_ok=True
            )

    def fetch(self, client: MlflowClient, run: Run, version: str) -> None:
        """Download a version that is not on this disk; of several who want it one does."""
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{version}.lock"):
            if self[version].is_dir():
                return
            with patient(), tempfile.TemporaryDirectory(dir=self.root, prefix=".fetch-") as scratch:
                downloaded = client.download_artifacts(run.info.run_id, ARTIFACT, scratch)
                Path(downloaded).rename(self[version])

    def remove(self, run: Run | None, version: str) -> None:
        """Delete the folder and its hard links.

        What was uploaded stays until its run is deleted in MLflow.
        """
        shutil.rmtree(self[version], ignore_errors=True)
        artifacts = local_artifacts(run) if run else None
        if artifacts is not None:
            shutil.rmtree(artifacts / ARTIFACT, ignore_errors=True)


def local_artifacts(run: Run) -> Path | None:
    """The folder of a run's artifacts; None when they lie on a server."""
    uri = urlparse(run.info.artifact_uri)
    return Path(unquote(uri.path)) if uri.scheme in ("", "file") else None


def _link(source: str, target: str) -> None:
    """A hard link, or a copy where the disk is another one or has no links."""
    Path(target).unlink(missing_ok=True)
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
