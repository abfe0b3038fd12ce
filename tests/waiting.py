"""Waiting for what happens elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 180.0
"""Far longer than anything should take: a test fails when something never happens."""


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Return once the condition holds; fail when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain"
        time.sleep(0.05)
