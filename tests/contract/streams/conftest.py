"""The online stores that the contract of features is run on; Redis as a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from reaseq.free_port import free_port
from tests.waiting import wait_until

PASSWORD = "p$HOME:w@rd"
"""With all that a URL, a YAML file and a shell could misread."""


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """A Redis that keeps nothing, while inside; its URL has a password."""
    redis = pytest.importorskip("redis")
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH")
    options = {
        "--port": str(port),
        "--bind": "127.0.0.1",
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--requirepass": PASSWORD,
    }
    flat = [part for option in options.items() for part in option]
    with subprocess.Popen([binary, *flat], stdout=subprocess.DEVNULL) as process:
        try:

            def answers() -> bool:
                assert process.poll() is None, "the Redis ended at once"
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return False

            with closing(redis.Redis(port=port, password=PASSWORD)) as client:
                wait_until(answers)
            yield f"redis://:{PASSWORD.replace('@', '%40')}@127.0.0.1:{port}/0"
        finally:
            process.kill()  # it keeps nothing


@pytest.fixture
def start_redis() -> Callable[[Path, int], AbstractContextManager[str]]:
    """Starts another Redis with its data in a folder, on a port, while inside."""
    return redis_server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for all tests; skips by name where there is none to start."""
    with redis_server(tmp_path_factory.mktemp("redis"), free_port()) as url:
        yield url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    """The Redis with nothing in it."""
    with closing(pytest.importorskip("redis").Redis.from_url(redis_url)) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["sqlite", "redis"])
def online(request: pytest.FixtureRequest) -> dict[str, Any] | None:
    """What `Features.apply` needs to know of an online store that holds nothing yet.

    None stands for the fake, which needs no home.
    """
    if request.param == "memory":
        return None
    if request.param == "sqlite":
        return {"online": "sqlite"}
    request.getfixturevalue("redis")
    return {"online": "redis", "redis_url": SecretStr(request.getfixturevalue("redis_url"))}
