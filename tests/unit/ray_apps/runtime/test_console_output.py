"""What third parties print goes where it belongs, and ours is heard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys, warnings
from pathlib import Path
from ray_apps.runtime.console_output import mute, native_output_to, quiet_third_parties
quiet_third_parties()
file = Path(sys.argv[1])
native_output_to(file)
native_output_to(file.with_name("second.log"))
os.write(2, b"compiled\\n")
print("python", file=sys.stderr)
mute.begin()
mute.begin()
print("taken down")
mute.end()
mute.end()
print("heard again")
warnings.warn_explicit("theirs", UserWarning, "/site-packages/feast/x.py", 1)
import ray_apps
warnings.warn_explicit("ours", UserWarning, str(Path(ray_apps.__file__).parent / "x.py"), 1)
"""


def test_compiled_code_prints_to_the_file_and_python_to_the_console(tmp_path: Path) -> None:
    """The file of the first call; muted output goes there too, and is heard again afterwards."""
    file = tmp_path / "logs" / "native.log"
    command = [sys.executable, "-c", PROGRAM, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "heard again\n"
    assert done.stderr == "python\nwarning: ours\n"
    assert file.read_text() == "compiled\ntaken down\n"
    assert not file.with_name("second.log").exists()


def test_without_a_file_nothing_is_muted() -> None:
    """A program that chose none hears everything."""
    code = (
        "from ray_apps.runtime.console_output import mute; mute.begin(); print('heard'); mute.end()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "heard\n"
