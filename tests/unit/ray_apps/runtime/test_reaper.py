"""What a program started is gone when the program is, however it ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.waiting import wait_until

# A run with a child that has its mark, and one that hides it and has a file of the run open.
PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from ray_apps.runtime.reaper import Reaper
folder = Path(sys.argv[1])
folder.mkdir()
reaper = Reaper(folder)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
marked = subprocess.Popen(sleep, start_new_session=True)
bare = {k: v for k, v in os.environ.items() if k != "RAY_APPS_RUN"}
log = (folder / "agent.log").open("w")
hidden = subprocess.Popen(sleep, env=bare, stdout=log, start_new_session=True)
stranger = subprocess.Popen(sleep, env=bare, start_new_session=True)
print(marked.pid, hidden.pid, stranger.pid, flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    """No such process, or one that nobody has waited for yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_nothing_of_a_killed_run_outlives_it(tmp_path: Path) -> None:
    """Processes with the mark or with a file of the run open, and the folder; nobody else's."""
    folder = tmp_path / "run"
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    with program.stdout:
        marked, hidden, stranger = map(int, program.stdout.readline().split())
        assert not any(map(gone, (marked, hidden, stranger)))
        program.kill()
        program.wait()
        wait_until(lambda: gone(marked) and gone(hidden) and not folder.exists())
        assert not gone(stranger)
        psutil.Process(stranger).kill()
