"""What is Redis' own in the online store: Feast's layout, the password, a server that is away."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr
from redis import ResponseError

from reaseq.errors import InputError
from reaseq.feature_views import ITEMS
from reaseq.free_port import free_port
from reaseq.schemas import ITEM_SCHEMA
from streams.feature_store.features import Features
from streams.feature_store.guard import OnlineStoreError
from streams.feature_store.replies import read_replies
from tests.waiting import PATIENCE_S

NOW_MS = 1_700_000_000_123


def item(title: str, event_time_ms: int, key: str = "i") -> pa.Table:
    """An item at a moment."""
    row = {"item_id": key, "title": title, "price": 1.5, "description": "green"}
    return pa.Table.from_pylist([row | {"event_time_ms": event_time_ms}], ITEM_SCHEMA)


@pytest.fixture
def home(tmp_path: Path, redis: Any, redis_url: str) -> Path:
    """A home whose online store is Redis, and nothing in it."""
    Features.apply(tmp_path, "redis", SecretStr(redis_url))
    return tmp_path


class InterruptedPool:
    """A pool of connections on which something happens after what was sent first."""

    def __init__(self, pool: Any, interrupt: Callable[[], object]) -> None:
        self.pool = pool
        self.interrupts = [interrupt]

    def get_connection(self) -> Any:
        """The pool's own connection, with an interruption ahead."""
        connection = self.pool.get_connection()
        send = type(connection).send_packed_command

        def interrupted(packed: Any) -> None:
            send(connection, packed)
            # Redis has taken in what was sent when another connection is answered.
            while self.interrupts:
                connection.can_read(timeout=PATIENCE_S)
                self.interrupts.pop()()

        connection.send_packed_command = interrupted
        return connection

    def release(self, connection: Any) -> None:
        """Back to the pool, as it was."""
        del connection.send_packed_command
        self.pool.release(connection)


def test_another_writer_between_look_and_write_is_seen(home: Path, redis: Any) -> None:
    """A row that became newer meanwhile is refused, and the others of its batch are written."""
    features = Features.open(home)
    batch = pa.concat_tables([item("old", NOW_MS, key=f"i{place}") for place in range(5)])
    online: Any = features._online
    client = online._get_client(features._store.config.online_store)
    pool = client.connection_pool
    newer = item("newer", NOW_MS + 1, key="i3")
    client.connection_pool = InterruptedPool(pool, lambda: Features.open(home).write(ITEMS, newer))
    assert features.write(ITEMS, batch) == 4
    assert client.connection_pool.interrupts == []
    client.connection_pool = pool
    titles = features.read(ITEMS, [f"i{place}" for place in range(5)])["title"].to_pylist()
    assert titles == ["old", "old", "old", "newer", "old"]


@pytest.fixture
def connection(redis: Any) -> Iterator[Any]:
    """A connection, as a client would use it, that counts how often it was asked for a reply."""
    connection = redis.connection_pool.get_connection()
    read = connection.read_response
    connection.num_reads = 0

    def counting() -> Any:
        connection.num_reads += 1
        return read()

    connection.read_response = counting
    yield connection
    connection.disconnect()
    redis.connection_pool.release(connection)


@pytest.mark.parametrize("is_known", [True, False], ids=["by its parser", "one by one"])
def test_replies_come_all_and_in_order(connection: Any, is_known: bool) -> None:
    """At once, where redis-py keeps them as we know it; else as it has it; and none too many."""
    if not is_known:
        connection._parser = OnlyReads(connection._parser)
    asked = [connection.pack_command("ECHO", "x" * number)[0] for number in range(500)]
    connection.send_packed_command(asked)
    assert read_replies(connection, 0) == []
    assert read_replies(connection, 499) == [b"x" * number for number in range(499)]
    assert connection.read_response() == b"x" * 499
    assert (connection.num_reads < 400) is is_known


def test_an_error_among_replies_is_raised(connection: Any) -> None:
    """As redis-py raises it, wherever it stands."""
    for place in range(3):
        commands = [connection.pack_command("PING")[0] for _ in range(3)]
        commands[place] = connection.pack_command("NONSENSE")[0]
        connection.send_packed_command(commands)
        with pytest.raises(ResponseError, match="NONSENSE"):
            read_replies(connection, 3)
        connection.disconnect()


class OnlyReads:
    """A parser that shows nothing but its replies."""

    def __init__(self, parser: Any) -> None:
        self.read_response = parser.read_response
        self.on_disconnect = parser.on_disconnect


@pytest.fixture
def limited(redis: Any) -> Iterator[Any]:
    """A Redis with a limit far off, which is gone afterwards."""
    redis.config_set("maxmemory", 2**30)
    yield redis
    redis.config_set("maxmemory", 0)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.acl_deluser("guest")


def test_a_redis_that_drops_features_is_refused(
    tmp_path: Path, limited: Any, redis_url: str
) -> None:
    """Applying says what would happen and what to set; who drops only what expires is welcome."""
    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-random"):
        limited.config_set("maxmemory-policy", policy)
        with pytest.raises(InputError, match=rf"without a word \({policy}\); .*noeviction"):
            Features.apply(tmp_path, "redis", SecretStr(redis_url))
    for policy in ("noeviction", "volatile-lru", "volatile-ttl"):
        limited.config_set("maxmemory-policy", policy)
        Features.apply(tmp_path, "redis", SecretStr(redis_url))
    limited.config_set("maxmemory-policy", "allkeys-lru")
    limited.config_set("maxmemory", 0)
    Features.apply(tmp_path, "redis", SecretStr(redis_url))


@pytest.mark.parametrize("may", ["+config|get -info", "+info -config"])
def test_one_way_to_look_is_enough(tmp_path: Path, limited: Any, redis_url: str, may: str) -> None:
    """Hosted ones forbid one of the two."""
    limited.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(InputError, match="allkeys-lru"):
        Features.apply(tmp_path, "redis", as_guest(limited, redis_url, may))


def test_a_redis_that_does_not_let_us_look_is_used_with_a_warning(
    tmp_path: Path, limited: Any, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it does at its limit is then for its owner to know."""
    assert Features.apply(tmp_path, "redis", as_guest(limited, redis_url, "-info -config"))
    assert "does not say" in caplog.text
    assert "noeviction" in caplog.text


def as_guest(redis: Any, url: str, may: str) -> SecretStr:
    """The address with a user who may do everything but look, or little of that."""
    redis.execute_command(
        "ACL", "SETUSER", "guest", "reset", "on", ">pw", "~*", "&*", "+@all", *may.split()
    )
    return SecretStr(f"redis://guest:pw@{url.partition('@')[2]}")


def test_a_full_redis_says_so(home: Path, redis: Any) -> None:
    """Redis refuses writes at its limit: the error is Redis' own, which names the setting."""
    features = Features.open(home)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(OnlineStoreError, match="maxmemory"):
            features.write(ITEMS, item("Tea", NOW_MS))
    finally:
        redis.config_set("maxmemory", 0)
    assert features.write(ITEMS, item("Tea", NOW_MS)) == 1


def test_a_removed_view_leaves_no_guard(home: Path, redis: Any) -> None:
    """Where Feast removed the row, an older one may come again."""
    features = Features.open(home)
    features.write(ITEMS, item("Tea", NOW_MS))
    (key,) = redis.keys("*")
    redis.hdel(key, "_ts:item_catalogue")
    assert features.write(ITEMS, item("Te", NOW_MS - 1)) == 1


def test_a_restart_of_redis_is_survived(
    tmp_path: Path, start_redis: Callable[[Path, int], AbstractContextManager[str]]
) -> None:
    """The server comes back empty, without our script: the next write finds its way."""
    folder = tmp_path / "redis"
    folder.mkdir()
    port = free_port()
    with start_redis(folder, port) as url:
        Features.apply(tmp_path, "redis", SecretStr(url))
        features = Features.open(tmp_path)
        assert features.write(ITEMS, item("Tea", NOW_MS)) == 1
    started = time.monotonic()
    for use in (
        lambda: features.write(ITEMS, item("T", NOW_MS)),
        lambda: features.read(ITEMS, ["i"]),
    ):
        with pytest.raises(OnlineStoreError, match=rf"127.0.0.1:{port} .*features\.redis_url"):
            use()
    assert time.monotonic() - started < PATIENCE_S
    with start_redis(folder, port):
        assert features.write(ITEMS, item("Tea", NOW_MS)) == 1
        assert features.read(ITEMS, ["i"]).num_rows == 1


def test_a_redis_that_does_not_answer_is_named(tmp_path: Path, redis_url: str) -> None:
    """Nobody there, a wrong password, no URL: each names the setting, none shows the password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"redis://:hush@127.0.0.1:{taken.getsockname()[1]}/0"
        locked = redis_url.replace("p$HOME", "hush")
        for url in (nobody, locked, "localhost:6379?password=hush"):
            with pytest.raises(
                (OnlineStoreError, ValueError), match=r"features\.redis_url"
            ) as error:
                Features.apply(tmp_path, "redis", SecretStr(url))
            assert "hush" not in str(error.value)
    with pytest.raises(ValueError, match=r"features\.redis_url"):
        Features.apply(tmp_path, "redis")


def test_the_password_is_in_one_file_for_its_owner(home: Path) -> None:
    """It is not in Feast's settings, and leaves with the choice of another store."""
    holders = [
        path for path in home.rglob("*") if path.is_file() and b"w%40rd" in path.read_bytes()
    ]
    assert holders == [home / "data" / "redis_url"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    Features.apply(home, "sqlite")
    assert not holders[0].exists()
    assert Features.open(home).read(ITEMS, ["i"]).num_rows == 0


def test_a_moved_redis_is_followed(home: Path, redis_url: str) -> None:
    """Applying with another address is a change, and the next to open goes there."""
    Features.open(home).write(ITEMS, item("Tea", NOW_MS))
    assert Features.apply(home, "redis", SecretStr(redis_url[:-1] + "1"))
    assert Features.open(home).read(ITEMS, ["i"]).num_rows == 0
    assert not Features.apply(home, "redis", SecretStr(redis_url[:-1] + "1"))
