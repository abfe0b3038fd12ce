"""The command line as a person types it: help, wrong settings, errors with a next step."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ray_apps.cli import console
from ray_apps.cli.app import app


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console on which no path is broken into lines."""
    for one in (console.console, console.errors):
        monkeypatch.setattr(one, "_width", 1000)


COMMANDS = (
    "demo",
    "up",
    "down",
    "status",
    "replay",
    "stream",
    "retrain",
    "generate",
    "serve",
    "verify",
)
DEAD_LETTERS = ("dead-letters list", "dead-letters show", "dead-letters requeue")


def run(*arguments: str, home: Path | None = None, **env: str) -> Result:
    """One command in a home of its own."""
    if home:
        env["REASEQ_HOME"] = str(home)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1", **env})


def said(result: Result) -> str:
    """Everything that was printed, in one line."""
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    "command", [*COMMANDS, "models list", "models promote", "models ui", *DEAD_LETTERS]
)
def test_every_command_has_help_with_an_example_or_a_reason(command: str) -> None:
    """A sentence and every flag explained."""
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    flags = re.findall(r"│\s+(--[a-z-]+)(.*)", result.output)
    assert flags
    assert all(explanation.strip() for flag, explanation in flags)


def test_help_needs_no_heavy_import() -> None:
    """Whoever looks up a flag does not wait for torch and Ray."""
    code = (
        "import sys; from ray_apps.cli.app import app; "
        "print(sorted({'torch', 'ray', 'feast', 'mlflow', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_are_printed_as_they_are_taken(tmp_path: Path) -> None:
    """What `settings` prints is a file that `--config` takes, and it changes nothing."""
    first = run("settings", home=tmp_path, REASEQ_KAFKA__NUM_PARTITIONS="3")
    assert first.exit_code == 0
    assert tomllib.loads(first.output)["kafka"]["num_partitions"] == 3
    file = tmp_path / "reaseq.toml"
    file.write_text(first.output)
    assert run("settings", "--config", str(file)).output == first.output


@pytest.mark.parametrize("command", ["settings", "status", "up", "replay", "doctor"])
def test_a_wrong_setting_stops_every_command_by_its_name(command: str, tmp_path: Path) -> None:
    """Exit code 2, before anything starts."""
    result = run(command, home=tmp_path, REASEQ_KAFKA__NUM_PARTITIONS="none")
    assert result.exit_code == 2
    assert "kafka.num_partitions" in said(result)


def test_a_missing_file_of_settings_is_named(tmp_path: Path) -> None:
    """With its path."""
    result = run("settings", "--config", str(tmp_path / "absent.toml"))
    assert result.exit_code == 2
    assert "absent.toml" in said(result)


@pytest.mark.parametrize(
    ("command", "next_step"),
    [
        ("status", "reaseq up"),
        ("recommend ann", "reaseq up"),
        ("replay", "reaseq up"),
        ("dead-letters list", "reaseq up"),
        ("dead-letters show 0@17", "reaseq up"),
        ("dead-letters requeue --all", "reaseq up"),
        ("dead-letters list --since yesterday", "2h"),
        ("generate", "reaseq retrain"),
        ("verify", "start the stream"),
        ("models promote v0007", "v0007"),
        ("models rollback", "before"),
        ("replay --events absent.csv", "reaseq up"),
        ("demo --map user_id=x", "--events"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(command: str, next_step: str, home: Path) -> None:
    """One sentence and exit code 1, no traceback."""
    result = run(*command.split(), home=home)
    assert result.exit_code == 1, result.output
    assert said(result).startswith("error:")
    assert next_step in said(result)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("flags", "next_step"),
    [("--events absent.csv", "absent.csv is not a file"), ("--types buy=purchase", "--events")],
)
def test_what_cannot_be_replayed_is_named(flags: str, next_step: str, home: Path) -> None:
    """With a broker at hand, though nothing was sent to it."""
    broker = {"REASEQ_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    result = run("replay", *flags.split(), home=home, **broker)
    assert result.exit_code == 1
    assert next_step in said(result)


def test_ending_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    """`down` in a script may come twice."""
    result = run("down", home=tmp_path)
    assert result.exit_code == 0
    assert f"nothing runs in {tmp_path}" in said(result)


def test_an_unknown_kind_of_model_names_those_there_are(tmp_path: Path) -> None:
    """From the table of kinds."""
    result = run("models", "promote", "v1", "--model", "toaster", home=tmp_path)
    assert result.exit_code == 2
    assert "ranker, generator" in said(result)


def test_models_are_listed_before_there_are_any(tmp_path: Path) -> None:
    """One table for each kind, and it says so."""
    result = run("models", "list", home=tmp_path)
    assert result.exit_code == 0
    assert said(result).count("none yet") == 2


def test_the_serve_config_is_yaml_for_ray(tmp_path: Path) -> None:
    """`serve deploy` takes what is printed; a cluster needs a broker that its replicas reach."""
    assert "kafka.bootstrap_servers" in said(run("deploy", "serve-config", home=tmp_path))
    broker = {"REASEQ_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092"}
    result = run("deploy", "serve-config", home=tmp_path, **broker)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load(result.output)
    assert [one["import_path"] for one in config["applications"]]


def test_a_date_that_is_none_is_a_users_mistake(tmp_path: Path) -> None:
    """The message names the flag and what it takes; nothing was sent."""
    result = run("replay", "--start", "yesterday", home=tmp_path)
    assert result.exit_code == 2
    assert all(word in said(result) for word in ("--start", "datetime", "date"))
