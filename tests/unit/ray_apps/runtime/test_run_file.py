"""A running system is found by its file, and a dead one's file misleads nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from ray_apps.runtime.home import Home
from ray_apps.runtime.run_file import Running, announce, find_running, withdraw


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def write(home: Home, running: Running) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    home.run_file.write_bytes(msgspec.json.encode(running))


def of(process: subprocess.Popen[bytes]) -> Running:
    started_s = psutil.Process(process.pid).create_time()
    return Running(process.pid, started_s, "127.0.0.1:1", "http://127.0.0.1:2")


def test_nobody_runs_where_nobody_announced(tmp_path: Path) -> None:
    """No file, or no folder: no system."""
    assert find_running(tmp_path) is None
    assert find_running(tmp_path / "absent") is None


def test_a_system_that_announced_itself_is_found_until_it_withdraws(tmp_path: Path) -> None:
    """Addresses and process as they were announced, and one file that goes again."""
    home = Home(tmp_path)
    announce(home, "127.0.0.1:9092", "http://127.0.0.1:8000")
    found = find_running(tmp_path)
    assert found is not None
    assert found[0] == home
    assert (found[1].pid, found[1].bootstrap_servers) == (os.getpid(), "127.0.0.1:9092")
    assert found[1].url == "http://127.0.0.1:8000"
    withdraw(home)
    assert find_running(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    withdraw(home)


def test_another_process_that_lives_is_found(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """The one who asks is not the one who runs."""
    write(Home(tmp_path), of(other_process))
    assert find_running(tmp_path) == (Home(tmp_path), of(other_process))


def test_the_file_of_a_dead_process_is_ignored_and_removed(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """A killed system could not withdraw; the next command does it."""
    write(Home(tmp_path), of(other_process))
    other_process.kill()
    other_process.wait()
    assert find_running(tmp_path) is None
    assert not Home(tmp_path).run_file.exists()


def test_a_stranger_with_the_same_process_id_is_not_the_system(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """Process ids come round again: the start time tells them apart."""
    earlier = msgspec.structs.replace(
        of(other_process), process_started_s=of(other_process).process_started_s - 3600
    )
    write(Home(tmp_path), earlier)
    assert find_running(tmp_path) is None


def test_a_demo_inside_the_home_is_found_after_the_home_itself(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """`reaseq status` finds a kept demo, but a real system comes first, and a dead one does not."""
    write(Home(tmp_path / "demo"), of(other_process))
    found = find_running(tmp_path)
    assert found is not None
    assert found[0] == Home(tmp_path / "demo")
    write(Home(tmp_path), msgspec.structs.replace(of(other_process), process_started_s=1.0))
    found = find_running(tmp_path)
    assert found is not None
    assert found[0] == Home(tmp_path / "demo")
    announce(Home(tmp_path), "127.0.0.1:9092", "http://127.0.0.1:8000")
    found = find_running(tmp_path)
    assert found is not None
    assert found[0] == Home(tmp_path)
