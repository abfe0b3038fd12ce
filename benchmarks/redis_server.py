"""A Redis for the length of a benchmark, which keeps nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis, RedisError

from benchmarks.report import say
from reaseq.free_port import free_port

START_TIMEOUT_S = 10.0


@contextmanager
def started_redis() -> Iterator[str | None]:
    """Its address, while inside; None, which is said, where there is no `redis-server`."""
    binary = shutil.which("redis-server")
    if binary is None:
        say("left out: Redis (no redis-server on the PATH)")
        yield None
        return
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL) as process:
        try:
            with Redis(port=port) as client:
                _wait_for(client)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _wait_for(client: Redis) -> None:
    """Until it answers. Raises RedisError when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client.ping()
            return
        except RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
