"""MLflow's pages are started from an environment of their own, on the right registry."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console

from ray_apps.cli.ui_command import ui_command as run_command
from ray_apps.registry.errors import RegistryError
from ray_apps.registry.ui import (
    ENVIRONMENT,
    STAMP,
    install_commands,
    mlflow_environment,
    run_ui,
    server_address,
    ui_command,
    ui_variables,
)
from ray_apps.settings import RegistrySettings, Settings
from reaseq.errors import NotReadyError


def test_the_environment_has_the_clients_version(tmp_path: Path) -> None:
    """One writes the tables that the other reads."""
    make, install = install_commands(tmp_path, "3.17.2")
    assert make == [sys.executable, "-m", "venv", str(tmp_path)]
    assert install[0] == str(tmp_path / "bin" / "python")
    assert install[-1] == "mlflow==3.17.2"


def test_an_environment_is_used_again(tmp_path: Path) -> None:
    """Nothing is installed, and nothing said, when the version is the right one."""
    folder = tmp_path / ENVIRONMENT
    folder.mkdir()
    (folder / STAMP).write_text(version("mlflow-skinny"))
    said: list[str] = []
    assert mlflow_environment(tmp_path, said.append) == folder
    assert said == []


def test_an_installation_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, and the other way to see the pages; it is tried again next time."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"cannot be installed.*registry\.uri"):
            mlflow_environment(tmp_path, said.append)
    assert all(line.startswith("installing MLflow") for line in said)
    assert len(said) == 2


def test_the_pages_get_host_port_and_artifacts(tmp_path: Path) -> None:
    """And one worker: the pages are for one person."""
    command = ui_command(tmp_path / "env", tmp_path / "runs", "0.0.0.0", 5001)
    assert command[:2] == [str(tmp_path / "env" / "bin" / "mlflow"), "ui"]
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options == {
        "--host": "0.0.0.0",
        "--port": "5001",
        "--workers": "1",
        "--artifacts-destination": (tmp_path / "runs").as_uri(),
    }


def test_no_password_is_on_the_command_line() -> None:
    """Every user of the machine can read it there; the environment only its owner."""
    variables = ui_variables("postgresql://me:hush@db/mlflow", {"PYTHONPATH": "/x", "HOME": "/me"})
    assert variables["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:hush@db/mlflow"
    assert variables["HOME"] == "/me"
    assert "PYTHONPATH" not in variables


def test_pages_that_end_by_themselves_are_reported(tmp_path: Path) -> None:
    """With the exit code and the likely reason."""
    program = tmp_path / "bin" / "mlflow"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(RegistryError, match=r"exit code 3.*another --port if 5001 is taken"):
        run_ui(tmp_path, "sqlite:///x.db", tmp_path, "127.0.0.1", 5001)


def test_only_a_server_has_pages_already() -> None:
    """A database has none, whoever runs it."""
    assert server_address("https://mlflow.example/") == "https://mlflow.example/"
    assert server_address("postgresql://db/mlflow") is None
    assert server_address("sqlite:////home/me/registry.db") is None


def test_a_servers_address_is_shown_without_its_password(tmp_path: Path) -> None:
    """Nothing is installed or started."""
    uri = "https://me:hush@mlflow.example"
    settings = Settings(home=tmp_path, registry=RegistrySettings(uri=uri))  # type: ignore[arg-type]
    console = Console(record=True, width=200)
    run_command(settings, console, "127.0.0.1", 5000)
    text = console.export_text()
    assert "mlflow.example" in text
    assert "hush" not in text
    assert list(tmp_path.iterdir()) == []


def test_without_a_model_there_is_nothing_to_show(tmp_path: Path) -> None:
    """The message says what makes one."""
    with pytest.raises(NotReadyError, match="reaseq retrain"):
        run_command(Settings(home=tmp_path), Console(), "127.0.0.1", 5000)
