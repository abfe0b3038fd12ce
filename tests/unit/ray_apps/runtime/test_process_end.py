"""`ray_apps.runtime.process_end`."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys
from ray_apps.runtime.process_end import run_to_the_end

class Crash:
    def __del__(self):
        import os
        os.abort()

def program():
    global crash
    crash = Crash()
    atexit.register(lambda: sys.stdout.write("last words"))
    sys.stdout.write("work, ")
    {ending}

run_to_the_end(program)
"""


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('what is wrong')", 1, "what is wrong\n"),
        ("raise ValueError('a defect')", 1, "ValueError: a defect\n"),
    ],
)
def test_a_program_ends_with_its_status_and_never_by_a_crash_of_the_interpreters_end(
    ending: str, status: int, error: str
) -> None:
    """What was printed and registered comes before; a defect shows its traceback."""
    command = [sys.executable, "-c", PROGRAM.format(ending=ending)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (status, "work, last words")
    assert ended.stderr.endswith(error)
