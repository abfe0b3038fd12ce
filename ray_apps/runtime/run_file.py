"""The running system announces itself in one file, so that other commands find it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import psutil

from ray_apps.runtime.home import Home
from reaseq.files import write_atomically

SAME_START_S = 2.0
"""Start times this close are one process: the system derives them from a clock that may be set."""


class Running(msgspec.Struct, frozen=True):
    """Where a running system can be reached."""

    pid: int
    process_started_s: float
    """Start time of the process: a pid alone may since belong to somebody else."""
    bootstrap_servers: str
    url: str

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            apart_s = abs(process.create_time() - self.process_started_s)
            return bool(apart_s < SAME_START_S and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def announce(home: Home, bootstrap_servers: str, url: str) -> None:
    """Write the run file for this process."""
    started_s = psutil.Process().create_time()
    running = Running(os.getpid(), started_s, bootstrap_servers, url)
    write_atomically(home.run_file, msgspec.json.encode(running))


def withdraw(home: Home) -> None:
    """Remove the run file."""
    home.run_file.unlink(missing_ok=True)


def find_running(root: Path) -> tuple[Home, Running] | None:
    """The live system of this home, or the demo's inside it; a dead one's file is removed."""
    for home in (Home(root), Home(root / "demo")):
        if not home.run_file.exists():
            continue
        running = msgspec.json.decode(home.run_file.read_bytes(), type=Running)
        if running.alive:
            return home, running
        withdraw(home)
    return None
