"""The whole system in one process tree: broker, Ray, features, stream, serving; up and down."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from ray_apps.jobs.stream import StreamJob
from ray_apps.runtime.cluster import ray_cluster
from ray_apps.runtime.console_output import native_output_to
from ray_apps.runtime.feature_store import apply_features
from ray_apps.runtime.home import Home
from ray_apps.runtime.run_file import announce, find_running, withdraw
from ray_apps.runtime.stream_lock import only_stream_of
from ray_apps.serving.app import serving
from ray_apps.settings import Settings
from reaseq.errors import NotReadyError
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.log.topics import create_topics

Say = Callable[[str], None]


@dataclass(frozen=True)
class Infrastructure:
    """Broker, Ray, topics and feature store run; nothing moves yet."""

    settings: Settings
    log: KafkaLog


@dataclass(frozen=True)
class System(Infrastructure):
    """Everything runs."""

    url: str
    stream: StreamJob


@contextmanager
def infrastructure(settings: Settings, say: Say) -> Iterator[Infrastructure]:
    """Start broker (unless one is configured), Ray, topics and feature store; stop them at the end.

    Raises NotReadyError when a system already runs in this home.
    """
    home = Home(settings.home)
    native_output_to(settings.home / "native.log")
    found = find_running(settings.home)
    if found and found[0] == home:
        raise NotReadyError(
            f"a system already runs in {settings.home} (process {found[1].pid}): "
            "`reaseq down` stops it, or set another home"
        )
    with ExitStack() as stack:
        settings = stack.enter_context(_with_broker(settings, say))
        log = KafkaLog(settings.kafka)
        create_topics(log, settings.topics, settings.kafka.num_partitions)
        say("Ray")
        stack.enter_context(ray_cluster(settings.ray))
        say("feature store")
        apply_features(settings)
        yield Infrastructure(settings, log)


@contextmanager
def streaming(base: Infrastructure) -> Iterator[StreamJob]:
    """Start the shards on the infrastructure; stop them at the end."""
    with only_stream_of(Home(base.settings.home)):
        job = StreamJob(base.settings, base.log)
        try:
            job.wait_until_ready()
            yield job
        finally:
            job.stop()


@contextmanager
def serving_system(base: Infrastructure, stream: StreamJob) -> Iterator[System]:
    """Start the HTTP application beside the stream, and announce the system to other commands."""
    home = Home(base.settings.home)
    with serving(base.settings) as url:
        announce(home, base.settings.kafka.bootstrap_servers or "", url)
        try:
            yield System(base.settings, base.log, url, stream)
        finally:
            withdraw(home)


@contextmanager
def _with_broker(settings: Settings, say: Say) -> Iterator[Settings]:
    """The settings with a broker's address in them, whoever started it."""
    if settings.kafka.bootstrap_servers:
        yield settings
        return
    say("embedded broker" if settings.kafka.launcher is None else "broker")
    broker = start_broker(settings.kafka, Home(settings.home).broker)
    try:
        yield settings.model_copy(update={"kafka": broker.reached_by(settings.kafka)})
    finally:
        broker.close()


def run_until_stopped(stream: StreamJob, say: Say) -> None:
    """Return at Ctrl-C or SIGTERM; raise if the stream ends by itself.

    Says what shards wait for that cannot go on, and when all of them do.
    """
    waiting: dict[int, str] = {}
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)
            stream.check()
            before, waiting = waiting, stream.interruptions()
            for shard in sorted(waiting.keys() - before.keys()):
                say(f"shard {shard} waits: {waiting[shard]}")
            if before and not waiting:
                say("all shards go on")


def wait_for_interrupt() -> None:
    """Return at Ctrl-C or SIGTERM."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def unwind_on_sigterm() -> None:
    """Make SIGTERM end the program the way Ctrl-C does, so that everything started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
