"""What a benchmark found, with what it was found on, as a file to commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "results"
LIBRARIES = ("ray", "torch", "feast", "pyarrow", "numpy", "duckdb", "deltalake", "msgspec")


def write_results(name: str, figures: Mapping[str, object]) -> Path:
    """Write `results/NAME.json`: the figures, versions, cores and commit. Returns the file."""
    about = {
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
        "cores": os.cpu_count(),
        "commit": COMMIT,
    }
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    content = msgspec.json.encode({**figures, "measured_with": about})
    file.write_bytes(msgspec.json.format(content) + b"\n")
    return file


def say(line: str) -> None:
    """To the one who measures."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _commit() -> str:
    """The commit, with a mark when the tree differs from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


COMMIT = _commit()
"""Taken at the start: a long run may see the next commit."""
