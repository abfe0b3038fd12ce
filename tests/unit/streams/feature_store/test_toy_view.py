"""Another feature view is one row: Feast's objects, reads, writes and tables follow from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_another_view_is_one_row(tmp_path: Path) -> None:
    """Online, offline and in Feast's registry, without a change anywhere else."""
    command = [sys.executable, "-m", "tests.unit.streams.feature_store.toy_view", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[4])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "item_demand" / "_delta_log").is_dir()
