"""One stream at a time works on a home: who holds its checkpoints."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from ray_apps.runtime.home import Home
from reaseq.errors import NotReadyError


class StreamRunsError(NotReadyError):
    """Another process holds the home's checkpoints."""


@contextmanager
def only_stream_of(home: Home) -> Iterator[None]:
    """Hold the home's checkpoints; the system lets them go with the process, however it ends."""
    home.checkpoints.mkdir(parents=True, exist_ok=True)
    with (home.checkpoints / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StreamRunsError(
                f"another stream already runs on {home.root}: stop it first"
            ) from None
        yield
