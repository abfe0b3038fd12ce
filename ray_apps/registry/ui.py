"""MLflow's own pages on the registry, from an environment of their own.

The whole of MLflow wants other versions of gunicorn and pyarrow than Ray and Feast do here, so it
cannot be installed next to them. It is installed once below the home folder, at the very version of
the client that writes the registry, so both agree on the database's tables.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from ray_apps.registry.connection import MLFLOW_DEFAULTS, SERVER_SCHEMES
from ray_apps.registry.errors import RegistryError

ENVIRONMENT = "mlflow-ui"
"""The folder below the home with MLflow's environment."""

STAMP = "installed"
"""In that folder: the version that was installed; written last."""

Say = Callable[[str], None]


def server_address(uri: str) -> str | None:
    """The page of a registry that is an MLflow server, None for a database."""
    return uri if uri.startswith(SERVER_SCHEMES[:2]) else None


def mlflow_environment(home: Path, say: Say) -> Path:
    """The folder of MLflow's environment, which is made if it is not there yet.

    Raises RegistryError when it cannot be installed.
    """
    folder, wanted = home / ENVIRONMENT, version("mlflow-skinny")
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    say(f"installing MLflow {wanted} for its pages into {folder}: about a minute, only this once")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for step in install_commands(folder, wanted):
        _install(step)
    stamp.write_text(wanted, encoding="utf-8")
    return folder


def install_commands(folder: Path, mlflow_version: str) -> list[list[str]]:
    """What makes the environment, step by step."""
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [[sys.executable, "-m", "venv", str(folder)], [*pip, f"mlflow=={mlflow_version}"]]


def ui_command(environment: Path, artifacts: Path, host: str, port: int) -> list[str]:
    """What starts the pages. The registry's URI may hold a password: see `ui_variables`."""
    return [
        str(environment / "bin" / "mlflow"),
        "ui",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
        "--artifacts-destination",
        artifacts.absolute().as_uri(),
    ]


def ui_variables(uri: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of the pages: ours, the registry, and nothing MLflow adds unasked.

    PYTHONPATH would mix the packages here with those of MLflow's environment.
    """
    kept = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
    return {
        "MLFLOW_DISABLE_TELEMETRY": MLFLOW_DEFAULTS["MLFLOW_DISABLE_TELEMETRY"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **kept,
        "MLFLOW_BACKEND_STORE_URI": uri,
    }


def run_ui(environment: Path, uri: str, artifacts: Path, host: str, port: int) -> None:
    """Serve the pages until Ctrl-C. Raises RegistryError when they end by themselves."""
    command = ui_command(environment, artifacts, host, port)
    process = subprocess.Popen(command, cwd=environment, env=ui_variables(uri, os.environ))
    try:
        status = process.wait()
    finally:
        process.terminate()
        process.wait()
    raise RegistryError(
        f"MLflow's pages ended with exit code {status}: see above, and choose another --port if "
        f"{port} is taken"
    )


def _install(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        output = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise RegistryError(
            f"MLflow's pages cannot be installed: {' '.join(output)}; they need a package index "
            "once, or point the setting registry.uri at an MLflow server, which has pages"
        )
