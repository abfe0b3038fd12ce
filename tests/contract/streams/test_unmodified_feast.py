"""Feast's own store classes, unchanged, read what ours have written, from the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureStore, RepoConfig
from feast.protos.feast.types.Value_pb2 import (
    DoubleList,
    Int64List,
    StringList,
    Value,
)

from reaseq.feature_views import ITEMS, SEQUENCES, ViewSpec
from reaseq.schemas import ITEM_SCHEMA, SEQUENCE_SCHEMA
from streams.feature_store.features import Features
from streams.feature_store.views import entity_keys_of

NOW_MS = 1_700_000_000_123
LENGTH = 100


@pytest.fixture
def home(tmp_path: Path, online: dict[str, Any]) -> Path:
    """An empty feature store's home."""
    Features.apply(tmp_path, **online)
    return tmp_path


@pytest.fixture
def feasts_own(home: Path, online: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    """Feast's own class on the same database, and the settings it needs."""
    config = FeatureStore(repo_path=str(home)).config
    if online["online"] == "sqlite":
        from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

        path = str(home / "data" / "online.db")
        config._online_store = SqliteOnlineStoreConfig(path=path)
        return SqliteOnlineStore(), config
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    own = RedisOnlineStore()
    own._client = request.getfixturevalue("redis")
    config._online_store = RedisOnlineStoreConfig()
    return own, config


def read(own: Any, config: RepoConfig, home: Path, view: ViewSpec, ids: list[str]) -> Any:
    """What Feast's class finds."""
    feature_view = FeatureStore(repo_path=str(home)).get_feature_view(view.name)
    return own.online_read(config, feature_view, entity_keys_of(view, ids), list(view.features))


def test_feast_reads_scalars(home: Path, feasts_own: Any) -> None:
    """Each value, one that is absent too, and the event time as exactly as the store keeps it."""
    row = {"item_id": "i", "title": "Tea", "price": None, "description": "ünal\x00's"}
    rows = pa.Table.from_pylist([row | {"event_time_ms": NOW_MS}], ITEM_SCHEMA)
    Features.open(home).write(ITEMS, rows)
    ((moment, values),) = read(*feasts_own, home, ITEMS, ["i"])
    assert int(moment.timestamp()) == NOW_MS // 1000
    assert values == {
        "title": Value(string_val="Tea"),
        "price": Value(),
        "description": Value(string_val="ünal\x00's"),
        "event_time_ms": Value(int64_val=NOW_MS),
    }


def test_feast_reads_whole_sequences(home: Path, feasts_own: Any) -> None:
    """Arrays of a hundred, written in one batch of several hundred users, one of them twice."""
    users = [f"user-{number}" for number in range(450)]
    rows = [sequence(user, revision=1) for user in users] + [sequence("user-7", revision=2)]
    table = pa.Table.from_pylist(rows, SEQUENCE_SCHEMA)
    features = Features.open(home)
    assert features.write(SEQUENCES, table) == 451
    assert features.write(SEQUENCES, table.slice(0, 450)) == 449
    answers = read(*feasts_own, home, SEQUENCES, [*users, "nobody"])
    for user, (_, values) in zip(users, answers, strict=False):
        assert values == as_feast(sequence(user, revision=2 if user == "user-7" else 1))
    assert not any(v.ByteSize() for v in (answers[-1][1] or {}).values())


def sequence(user_id: str, revision: int) -> dict[str, Any]:
    """A full sequence of the user's own, with numbers of every size."""
    return {
        "user_id": user_id,
        "item_ids": [f"{user_id}-{revision}-{place}" * (place % 3) for place in range(LENGTH)],
        "event_types": ["view", "purchase"] * (LENGTH // 2),
        "event_times_ms": [NOW_MS - LENGTH + place for place in range(LENGTH)],
        "event_values": [place / 3 for place in range(LENGTH)],
        "event_keys": [(-1) ** place * 2 ** (place % 63) for place in range(LENGTH)],
        "newest_event_time_ms": NOW_MS,
        "revision": revision,
    }


def as_feast(row: dict[str, Any]) -> dict[str, Value]:
    """The row as Feast's own objects."""
    return {
        "item_ids": Value(string_list_val=StringList(val=row["item_ids"])),
        "event_types": Value(string_list_val=StringList(val=row["event_types"])),
        "event_times_ms": Value(int64_list_val=Int64List(val=row["event_times_ms"])),
        "event_values": Value(double_list_val=DoubleList(val=row["event_values"])),
        "event_keys": Value(int64_list_val=Int64List(val=row["event_keys"])),
        "newest_event_time_ms": Value(int64_val=row["newest_event_time_ms"]),
        "revision": Value(int64_val=row["revision"]),
    }
