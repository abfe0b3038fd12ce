"""What is Redis' own in the online store: Feast's layout, the password, a server that is away."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import SecretStr

from reaseq.feature_views import ITEMS
from reaseq.free_port import free_port
from reaseq.schemas import ITEM_SCHEMA
from streams.feature_store.features import Features
from streams.feature_store.guard import OnlineStoreError
from tests.waiting import PATIENCE_S

NOW_MS = 1_700_000_000_123


def item(title: str, event_time_ms: int) -> pa.Table:
    """An item at a moment."""
    row = {"item_id": "i", "title": title, "price": 1.5, "description": "green"}
    return pa.Table.from_pylist([row | {"event_time_ms": event_time_ms}], ITEM_SCHEMA)


@pytest.fixture
def home(tmp_path: Path, redis: Any, redis_url: str) -> Path:
    """A home whose online store is Redis, and nothing in it."""
    Features.apply(tmp_path, "redis", SecretStr(redis_url))
    return tmp_path


def test_feasts_own_store_reads_what_we_write(home: Path, redis: Any, redis_url: str) -> None:
    """Feast's class, unchanged, finds each value and the event time to the millisecond."""
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    Features.open(home).write(ITEMS, item("Tea", NOW_MS))
    store = FeatureStore(repo_path=str(home))
    config, own = store.config, RedisOnlineStore()
    own._client = redis
    config._online_store = RedisOnlineStoreConfig()
    key = EntityKey(join_keys=["item_id"], entity_values=[Value(string_val="i")])
    view = store.get_feature_view("item_catalogue")
    ((moment, values),) = own.online_read(config, view, [key], ["title", "price"])
    assert moment is not None
    assert values == {"title": Value(string_val="Tea"), "price": Value(double_val=1.5)}
    assert round(moment.timestamp() * 1000) == NOW_MS


def test_row_versions_are_exact() -> None:
    """A microsecond and a revision count where a script's own numbers would round them off."""
    from streams.feature_store.redis import version_text

    versions = [
        (-1, 5),
        (0, -(2**63)),
        (0, 2**63 - 2),
        (0, 2**63 - 1),
        (2**60, 0),
        (2**60 + 1, -1),
        (2**63 - 1, 0),
    ]
    texts = [version_text(version) for version in versions]
    assert texts == sorted(texts)
    assert len({len(text) for text in texts}) == 1


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
