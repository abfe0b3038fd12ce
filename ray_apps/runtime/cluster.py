"""The Ray cluster: a private one that ends with us, or one that is already there."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from ray_apps.runtime.console_output import mute
from ray_apps.runtime.reaper import Reaper
from ray_apps.settings import RaySettings

_TEMP_PREFIX = "reaseq-ray-"

_MEGABYTE = 1024 * 1024

_QUIETER = {
    # Nobody hears what Ray's log monitor finds, and it would look for new files ten times a second.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "3600",
    # Every tenth of a second by default.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
}
"""What idle parts of Ray take from a laptop's few cores, made less. Set it yourself to differ."""


@contextmanager
def ray_cluster(settings: RaySettings) -> Iterator[None]:
    """Connect to `settings.address`, or start a private cluster and stop it at the end.

    A private cluster keeps its sockets and logs in a folder under the system's temporary one, which
    is removed with it; its processes end with the one that started them, even by SIGKILL
    (`ray_apps.runtime.reaper`).
    """
    if settings.address:
        with _our_sigterm():
            ray.init(address=settings.address, namespace="reaseq", log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()
        return
    folder = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX))
    reaper = Reaper(folder)
    try:
        with _our_sigterm():
            _start_private(settings, folder)
        yield
    finally:
        mute.begin()
        ray.shutdown()
        reaper.close()


@contextmanager
def _our_sigterm() -> Iterator[None]:
    """Ray takes SIGTERM over when it starts, and would end the program with an error's status."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _start_private(settings: RaySettings, folder: Path) -> None:
    # A stray RAY_ADDRESS would silently connect us to a stranger's cluster.
    os.environ.pop("RAY_ADDRESS", None)
    for name, value in _QUIETER.items():
        os.environ.setdefault(name, value)
    ray.init(
        address="local",
        namespace="reaseq",
        num_cpus=settings.num_cpus,
        object_store_memory=settings.object_store_mb * _MEGABYTE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
        _temp_dir=str(folder),
        # One start per slot: with the default, one per core, Ray warns at every start. No niceness:
        # by default workers yield to everything else on the machine, and the stream would wait.
        _system_config={
            "worker_maximum_startup_concurrency": settings.num_cpus,
            "worker_niceness": 0,
        },
    )
