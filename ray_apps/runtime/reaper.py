"""A watchdog for a private cluster: ends what outlives the program that started it.

Ray's own processes end with their parent, but not all of them when that parent is killed with
SIGKILL (its agents stay). The watchdog is a small process that holds one end of a pipe; when the
other end goes, however its holder ended, it kills every process of the run and removes its folder.
A process belongs to the run when it carries its mark in the environment, or has a file open in the
folder (Ray's agents overwrite their environment with a title).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

RUN_MARK = "RAY_APPS_RUN"
"""The environment variable that every process of a run inherits."""

GRACE_S = 2.0
"""How long processes that end by themselves are given."""


class Reaper:
    """The watchdog of one run, seen from the program that it watches."""

    def __init__(self, folder: Path) -> None:
        """Mark this process, and with it all it will start, and set the watchdog up."""
        mark = folder.name
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment.pop(RUN_MARK, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ray_apps.runtime.reaper", mark, str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        os.environ[RUN_MARK] = mark

    def close(self) -> None:
        """Let the watchdog do its round now, and wait until it has."""
        os.environ.pop(RUN_MARK, None)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def watch(mark: str, folder: Path) -> None:
    """Wait for the end of stdin, then leave nothing of the run behind."""
    sys.stdin.buffer.read()
    _, alive = psutil.wait_procs(_of_run(mark, folder), timeout=GRACE_S)
    while alive:
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)
        alive = _of_run(mark, folder)
    shutil.rmtree(folder, ignore_errors=True)


def _of_run(mark: str, folder: Path) -> list[psutil.Process]:
    """The living processes of a run; not this one, and not the program itself while it stops."""
    others = (p for p in psutil.process_iter() if p.pid not in (os.getpid(), os.getppid()))
    return [process for process in others if _belongs(process, mark, folder)]


def _belongs(process: psutil.Process, mark: str, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get(RUN_MARK) == mark:
            return True
        return any(file.path.startswith(f"{folder}{os.sep}") for file in process.open_files())
    return False


if __name__ == "__main__":
    watch(sys.argv[1], Path(sys.argv[2]))
