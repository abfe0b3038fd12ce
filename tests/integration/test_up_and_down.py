"""The whole system as a user runs it: up, killed, up again, used, down, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.waiting import wait_until


class Machine:
    """Runs `reaseq` commands in a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # The language model has tests of its own and would take most of the time here.
        ours = {
            "REASEQ_HOME": str(home),
            "REASEQ_SERVE__PORT": "0",
            "REASEQ_KNOWLEDGE__SOURCE": "recorded",
        }
        theirs = {k: v for k, v in os.environ.items() if not k.startswith("REASEQ_")}
        self._environment = {**theirs, **ours}
        self._started: list[psutil.Process] = []

    def start(self, *arguments: str) -> psutil.Process:
        """A command in the background, its output in a file."""
        with (self.home.parent / "output.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray_apps", *arguments],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        started = psutil.Process(process.pid)
        self._started.append(started)
        return started

    def end(self) -> None:
        """End what a failed test left."""
        for process in self._started:
            if not gone([process]):
                process.terminate()
        _, alive = psutil.wait_procs(self._started, 60)
        for process in alive:
            process.kill()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "ray_apps", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def up(self) -> tuple[psutil.Process, dict[str, Any]]:
        """Start everything and wait until it announces itself."""
        process = self.start("up")
        wait_until(lambda: self.announced() == process.pid or gone([process]))
        assert self.announced() == process.pid, (self.home.parent / "output.log").read_text()
        return process, json.loads((self.home / "run.json").read_text())

    def announced(self) -> int | None:
        """The process that the run file names; a killed one leaves its file behind."""
        file = self.home / "run.json"
        return int(json.loads(file.read_text())["pid"]) if file.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "home")
    yield machine
    machine.end()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_killed_system_leaves_nothing_and_comes_up_again(machine: Machine) -> None:
    """SIGKILL: no process, no port, no lock. Then up again, used, and taken down in order."""
    process, running = machine.up()
    family = [process, *process.children(recursive=True)]
    assert len(family) > 5
    assert answers(running["url"])
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    wait_until(lambda: gone(family))
    assert not answers(running["url"])

    process, running = machine.up()
    family = [process, *process.children(recursive=True)]
    refused = machine.run("up")
    assert refused.returncode == 1
    assert "already runs" in " ".join(refused.stderr.split())
    event = {"user_id": "ann", "item_id": "mug", "event_type": "purchase"}
    httpx.post(f"{running['url']}/v1/events", json=event, timeout=60).raise_for_status()
    wait_until(lambda: records_taken_in(machine) == 1)
    told = machine.run("recommend", "nobody")
    assert told.returncode == 0, told.stderr
    assert "no_ranker" in told.stdout
    down = machine.run("down")
    assert down.returncode == 0, down.stderr
    wait_until(lambda: gone(family))
    assert not (machine.home / "run.json").exists()
    assert "nothing runs" in machine.run("down").stdout


def records_taken_in(machine: Machine) -> int:
    status = machine.run("status", "--json")
    assert status.returncode == 0, status.stderr
    return sum(p["num_records"] for p in json.loads(status.stdout)["partitions"])


def test_commands_without_a_system_say_what_to_do(machine: Machine) -> None:
    """Nothing runs, nothing to train on, a wrong setting: one line that helps, no traceback."""
    for command in (["status"], ["recommend", "ann"], ["replay"]):
        refused = machine.run(*command)
        assert refused.returncode == 1
        assert "reaseq up" in " ".join(refused.stderr.split())
        assert "Traceback" not in refused.stderr
    wrong = subprocess.run(
        [sys.executable, "-m", "ray_apps", "settings"],
        env={**os.environ, "REASEQ_KAFKA__NUM_PARTITIONS": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert "kafka.num_partitions" in wrong.stderr
