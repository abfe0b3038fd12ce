"""A process that only reads and writes features starts without torch."""

from __future__ import annotations

import subprocess
import sys


def test_features_come_without_torch_and_leave_it_importable() -> None:
    """Feast would load it; who needs it afterwards finds it as ever."""
    program = (
        "import sys, streams.feature_store.features;"
        "assert 'torch' not in sys.modules;"
        "import torch, typeguard;"
        "assert typeguard.typechecked.__module__.startswith('typeguard')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
