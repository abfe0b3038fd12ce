"""The parts of a system, each a process of its own that can be killed and comes back.

Nothing here tells the others: whoever depends on a part has to bear that it is gone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from redis import Redis, RedisError

from benchmarks.report import say
from ray_apps.settings import Settings
from reaseq.free_port import free_port
from reaseq.settings.toml import to_toml
from streams.log.broker import Broker, start_broker
from streams.settings import KafkaSettings

PATIENCE_S = 120.0
RESTART_PAUSE_S = 1.0
"""What a service manager waits before it starts again what ended."""

SHARD_TITLE = "ShardActor"
SECRET = "REASEQ_FEATURES__REDIS_URL"
"""Files of settings hold no secrets."""


class BrokerPart:
    """A broker whose data are kept."""

    def __init__(self, settings: KafkaSettings, folder: Path) -> None:
        self._settings = settings.model_copy(update={"embedded_port": free_port(num_ports=2)})
        self._folder = folder
        self._broker: Broker = start_broker(self._settings, folder)

    @property
    def settings(self) -> KafkaSettings:
        """How clients reach it."""
        return self._broker.reached_by(self._settings)

    def kill(self) -> None:
        """End it as a crash would, and start it again on its data."""
        os.kill(self._broker.pid, signal.SIGKILL)
        self._broker.close()
        self._broker = start_broker(self._settings, self._folder)

    def close(self) -> None:
        """Stop it."""
        self._broker.close()


class RedisPart:
    """A Redis that writes every change to its file before it answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._port = free_port()
        self._process = self._start()

    @classmethod
    def start(cls, folder: Path) -> RedisPart | None:
        """One where there is a `redis-server` on the PATH."""
        return cls(folder) if shutil.which("redis-server") else None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    def kill(self) -> None:
        """End it as a crash would, and start it again on its file."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        options += ["--appendonly", "yes", "--dir", str(self._folder)]
        process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Redis(port=self._port) as client:
                    client.ping()
                return process
            except RedisError:
                if time.monotonic() > deadline:
                    process.kill()
                    raise
                time.sleep(0.1)


class RayPart:
    """A head that runs no shards, and one worker node with a raylet of its own."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        head = ["--head", "--port", str(port), "--num-cpus", "0", "--temp-dir", str(folder)]
        self._head = _ray_node([*head, "--include-dashboard", "false", "--disable-usage-stats"])
        _wait_for_port(port)
        self._worker = self._add_worker()

    def kill(self) -> None:
        """End the worker node as a lost machine would, and bring another one."""
        _end_tree(self._worker)
        self._worker = self._add_worker()

    def _add_worker(self) -> subprocess.Popen[bytes]:
        return _ray_node(["--address", self.address, "--num-cpus", "8"])

    def close(self) -> None:
        """Stop both nodes."""
        _end_tree(self._worker)
        _end_tree(self._head)


def _ray_node(options: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *options]
    # Two nodes on one machine must not hand out the same ports.
    command += ["--min-worker-port", "0", "--max-worker-port", "0"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _end_tree(root: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything below it at once."""
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(root.pid)
        for process in [*family.children(recursive=True), family]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    root.wait()


class DriverPart:
    """`reaseq stream`, started again whenever it ends, as a service manager does."""

    def __init__(self, settings: Settings, log_file: Path) -> None:
        self._config = log_file.with_suffix(".toml")
        self._config.write_text(to_toml(settings))
        secret = settings.features.redis_url
        self._secrets = {SECRET: secret.get_secret_value()} if secret else {}
        self._log_file = log_file
        self._stopping = threading.Event()
        self.num_ended = 0
        """How often it ended by itself."""
        self._killed: set[int] = set()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, name="service-manager", daemon=True)
        self._keeper.start()

    def kill(self) -> None:
        """End it as a crash would."""
        process = self._process
        self._killed.add(process.pid)
        with suppress(ProcessLookupError):
            process.kill()

    def stop(self) -> int:
        """Ask it to end, as an operator does. Returns its exit status."""
        self._stopping.set()
        self._keeper.join()
        self._process.terminate()
        status = self._process.wait(PATIENCE_S)
        if status:
            say(f"the driver stopped with {status}:\n{self._last_output()}")
        return status

    def close(self) -> None:
        """End it whatever it does."""
        self._stopping.set()
        self._keeper.join()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _keep(self) -> None:
        while not self._stopping.wait(RESTART_PAUSE_S):
            if self._process.poll() is None:
                continue
            if self._process.pid not in self._killed:
                self.num_ended += 1
                say(f"the driver ended by itself:\n{self._last_output()}")
            self._process = self._start()

    def _last_output(self) -> str:
        return self._log_file.read_text(errors="replace")[-1500:]

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log_file.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "ray_apps", "stream", "--config", str(self._config)],
                env={**os.environ, **self._secrets},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def kill_a_shard(rng: random.Random) -> None:
    """End the process of one; there may be none for a while, because something else was killed."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := list(_shards())):
        assert time.monotonic() < deadline, "no shard ever came back"
        time.sleep(0.1)
    with suppress(psutil.NoSuchProcess):
        rng.choice(found).kill()


def _shards() -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if SHARD_TITLE in " ".join(process.cmdline()):
                yield process
