"""How many threads a process of ours computes with."""

from __future__ import annotations

import os


def one_thread() -> None:
    """One, unless the environment says otherwise; call it before anybody imports torch.

    Every core has a process of ours already: more threads would spend it waiting for each other.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
