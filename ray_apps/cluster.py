"""The Ray cluster: a private one that ends with us, or one that is already there."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import ray

from ray_apps.quiet import hush
from reaseq.settings import RaySettings

_TEMP_PREFIX = "reaseq-ray-"

_MEGABYTE = 1024 * 1024


@contextmanager
def ray_cluster(settings: RaySettings) -> Iterator[None]:
    """Connect to `settings.address`, or start a private cluster and stop it at the end.

    A private cluster keeps its sockets and logs in a folder under the system's temporary one, which
    is removed with it; Ray's processes end with the one that started them, even by SIGKILL.
    """
    if settings.address:
        ray.init(address=settings.address, namespace="reaseq", log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()
        return
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"{_TEMP_PREFIX}{os.getpid()}-"))
    try:
        _start_private(settings, folder)
        yield
    finally:
        hush.begin()
        ray.shutdown()
        hush.end()
        shutil.rmtree(folder, ignore_errors=True)


def _start_private(settings: RaySettings, folder: Path) -> None:
    # A stray RAY_ADDRESS would silently connect us to a stranger's cluster.
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
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


def _remove_leftovers() -> None:
    """Remove the folders of runs that were killed before they could do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMP_PREFIX}*"):
        owner = folder.name.removeprefix(_TEMP_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
