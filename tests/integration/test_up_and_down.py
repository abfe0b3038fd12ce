"""The whole system as a user runs it: up, killed, up again, used, down, nothing left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.processes import descendants, gone, is_alive, kill
from tests.waiting import PATIENCE_S, wait_until


class Machine:
    """Runs `reaseq` commands in a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # The language model has tests of its own and would take most of the time here.
        ours = {
            "REASEQ_HOME": str(home),
            "REASEQ_SERVE__PORT": "0",
            "REASEQ_SERVE__RECOMMENDER_TIMEOUT_S": f"{PATIENCE_S}",
            "REASEQ_KNOWLEDGE__SOURCE": "recorded",
        }
        theirs = {k: v for k, v in os.environ.items() if not k.startswith("REASEQ_")}
        self._environment = {**theirs, **ours}
        self._started: list[subprocess.Popen[bytes]] = []

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
        self._started.append(process)
        return psutil.Process(process.pid)

    def end(self) -> None:
        """End what a failed test left."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "ray_apps", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )

    def up(self) -> tuple[psutil.Process, dict[str, Any]]:
        """Start everything and wait until it announces itself."""
        process = self.start("up")
        wait_until(lambda: self.announced() == process.pid or not is_alive(process))
        assert self.announced() == process.pid, (self.home.parent / "output.log").read_text()
        return process, json.loads((self.home / "run.json").read_text())

    def announced(self) -> int | None:
        """The process that the run file names; a killed one leaves its file behind."""
        file = self.home / "run.json"
        return int(json.loads(file.read_text())["pid"]) if file.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "home")
    try:
        yield machine
    finally:
        machine.end()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_killed_system_leaves_nothing_and_comes_up_again(machine: Machine) -> None:
    """SIGKILL: no process, no port, no lock. Then up again, used, and taken down in order."""
    process, running = machine.up()
    family = [process, *descendants(process)]
    assert len(family) > 5
    wait_until(lambda: answers(running["url"]))
    kill(process)
    wait_until(lambda: gone(family))
    assert not answers(running["url"])

    process, running = machine.up()
    family = [process, *descendants(process)]
    refused = machine.run("up")
    assert refused.returncode == 1
    assert "already runs" in " ".join(refused.stderr.split())
    event = {"user_id": "ann", "item_id": "mug", "event_type": "purchase"}
    httpx.post(f"{running['url']}/v1/events", json=event, timeout=PATIENCE_S).raise_for_status()
    wait_until(lambda: records_taken_in(machine) == 1)
    told = machine.run("recommend", "nobody")
    assert told.returncode == 0, told.stderr
    assert "no_ranker" in told.stdout
    wait_until(lambda: machine.run("verify").returncode == 0)  # once the event is archived
    erased = machine.run("erase", "ann", "--yes")
    assert erased.returncode == 0, erased.stderr
    assert re.search(r"events offline +│ +1 +│ +0", erased.stdout), erased.stdout
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
    commands = (["status"], ["recommend", "ann"], ["replay"])
    with ThreadPoolExecutor() as several:
        answers = list(several.map(lambda command: machine.run(*command), commands))
    for refused in answers:
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
