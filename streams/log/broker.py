"""A broker process of our own, for laptops and tests: embedded by default, any launcher by setting.

The embedded one is noida-db: one binary, up in a third of a second, its data kept in a folder. It
writes that folder every second or two, so killing *it* (not us) can lose the newest records; it is
no substitute for Apache Kafka in production.
"""

from __future__ import annotations

import ctypes
import shlex
import signal
import socket
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from reaseq.free_port import free_port
from streams.log.ports import LogError
from streams.settings import KafkaSettings

START_TIMEOUT_S = 60.0
"""Apache Kafka needs 5 s on a laptop and 12 s after a crash; this is that with room."""

STOP_TIMEOUT_S = 15.0

EMBEDDED_IDLE_PAUSE_MS = 10
"""It does not hold an empty fetch: without a pause an idle reader would spin."""

_PR_SET_PDEATHSIG = 1


class Broker:
    """A running broker process; it ends when closed, and with the process that started it."""

    def __init__(self, command: list[str], port: int, log_file: Path) -> None:
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self._log_file = log_file
        with log_file.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of reach of Ctrl-C, yet in our session: Linux (autogroup) shares processors
                # among sessions, and would starve a busy broker that has one to itself.
                process_group=0,
                preexec_fn=_die_with_parent,
            )

    def reached_by(self, settings: KafkaSettings) -> KafkaSettings:
        """The settings with which clients talk to this broker."""
        pause_ms = 0 if settings.launcher else EMBEDDED_IDLE_PAUSE_MS
        update = {"bootstrap_servers": self.bootstrap_servers, "idle_pause_ms": pause_ms}
        return settings.model_copy(update=update)

    @property
    def pid(self) -> int:
        """Process id, for tests that kill it."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return once the broker answers. Raises LogError with its output if it never does."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LogError(f"the broker ended at once:\n{self._last_output()}")
            if _answers(self.bootstrap_servers):
                return
            time.sleep(0.1)
        self.close()
        raise LogError(f"no answer from the broker in {START_TIMEOUT_S} s:\n{self._last_output()}")

    def close(self) -> None:
        """Stop the process and wait for its end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _last_output(self) -> str:
        return self._log_file.read_text(errors="replace")[-2000:]


def start_broker(settings: KafkaSettings, folder: Path) -> Broker:
    """Start the broker the settings ask for, its data under `folder`; return when it answers.

    Raises LogError when the command cannot be run or does not come up.
    """
    data = folder / ("launched" if settings.launcher else "embedded")
    data.mkdir(parents=True, exist_ok=True)
    # Apache Kafka takes the next port too.
    port = settings.embedded_port or free_port(num_ports=2)
    try:
        broker = Broker(_command(settings, port, data), port, folder / "broker.log")
    except OSError as error:
        raise LogError(f"cannot start the broker ({error}): check kafka.launcher") from error
    try:
        broker.wait_until_ready()
    except BaseException:
        broker.close()
        raise
    return broker


def _command(settings: KafkaSettings, port: int, data: Path) -> list[str]:
    if settings.launcher:
        keep = "log.retention.ms=-1"
        return [*shlex.split(settings.launcher), str(port), str(data), keep]
    binary = Path(str(files("noida_db") / "noida-db"))
    binary.chmod(0o755)
    options = ["--only", "kafka", "--kafka-port", str(port), "--data-dir", str(data)]
    return [str(binary), "start", *options]


def _answers(bootstrap_servers: str) -> bool:
    host, port = bootstrap_servers.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        KafkaAdminClient(bootstrap_servers=bootstrap_servers, bootstrap_timeout_ms=2000).close()
    except (OSError, KafkaError):
        return False
    return True


def _die_with_parent() -> None:
    """On Linux, ask the kernel to end the broker when its parent is gone, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
