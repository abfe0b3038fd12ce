"""A feature store's home: a folder with `feature_store.yaml`, the registry and the data.

`apply_definitions` makes it, once, in the driver; everyone else calls `open_store`. Both hold a
lock on the home, because Feast rewrites its registry in place and a reader could meet half of it.
The `feast` command line works in a home too: it finds the settings and, in `definitions.py`, the
definitions under their one import path.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib
import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import feast
from feast import Entity, FeatureService, FeatureStore, FeatureView
from feast.data_source import DataSource
from feast.infra.online_stores.helpers import get_online_store_from_config
from pydantic import SecretStr

from reaseq.errors import InputError, NotReadyError
from reaseq.files import write_atomically
from streams.feature_store.encoding import ENTITY_KEY_VERSION
from streams.feature_store.guard import GuardedOnlineStore

logger = logging.getLogger(__name__)

OnlineStoreName = Literal["sqlite", "redis"]

DEFINITIONS_MODULE = "feature_repo.definitions"

SETTINGS = """\
project: reaseq
provider: local
entity_key_serialization_version: {key_version}
registry:
  path: data/registry.db
  cache_ttl_seconds: 0  # never: read when a store opens, not in the path of a request
offline_store:
  type: streams.feature_store.offline_store.DeltaOfflineStore
  max_sequence_events: {max_events}
{tables}online_store:
{online}"""
"""`feature_store.yaml`. Paths are relative to the home, where Feast lets them be."""

ONLINE_STORES: dict[str, str] = {
    "sqlite": """\
  type: streams.feature_store.sqlite.GuardedSqliteOnlineStore
  path: data/online.db
""",
    "redis": """\
  type: streams.feature_store.redis.GuardedRedisOnlineStore
  url_file: {url_file}
""",
}

DEFINITIONS_FILE = f'''"""The definitions under their one import path, for the command line."""

from {DEFINITIONS_MODULE} import *  # noqa: F403
'''


def apply_definitions(
    home: Path,
    online: OnlineStoreName,
    redis_url: SecretStr | None,
    tables: str | None,
    max_events: int,
) -> bool:
    """Write the settings and apply the definitions; False when both are in force already.

    Adds and changes; removing a view is for `feast apply` in the home. Raises OnlineStoreError when
    the online store does not answer, InputError for a Redis that drops what it was given.
    """
    settings = store_settings(home, online, tables, max_events)
    objects, fingerprint = _definitions()
    wanted = hashlib.sha256(f"{feast.__version__}\n{settings}\n{fingerprint}".encode()).hexdigest()
    if online == "redis":
        _ask_redis(redis_url)
    with _locked(home, fcntl.LOCK_EX):
        is_moved = _write_url(home, redis_url if online == "redis" else None)
        applied = home / "data" / "applied"
        if applied.is_file() and applied.read_text() == wanted:
            return is_moved
        (home / "feature_store.yaml").write_text(settings)
        (home / "definitions.py").write_text(DEFINITIONS_FILE)
        FeatureStore(repo_path=str(home)).apply(objects)
        applied.write_text(wanted)
    return True


def open_store(home: Path) -> tuple[FeatureStore, GuardedOnlineStore]:
    """Feast's store of an applied home, its registry loaded, and the guarded store to write to.

    Raises NotReadyError when nothing was applied there.
    """
    if not (home / "data" / "applied").is_file():
        raise NotReadyError(
            f"no feature store in {home}: `reaseq up` makes one, or Features.apply({str(home)!r})"
        )
    with _locked(home, fcntl.LOCK_SH):
        store = FeatureStore(repo_path=str(home))
        store.refresh_registry()
    # Feast keeps an instance of the same class for its reads; the writes go to one of our own.
    online = get_online_store_from_config(store.config.online_store)
    return store, cast(GuardedOnlineStore, online)


def store_settings(
    home: Path, online: OnlineStoreName, tables: str | None = None, max_events: int = 100
) -> str:
    """The content of `feature_store.yaml`; raises ValueError for an unknown online store."""
    if online not in ONLINE_STORES:
        raise ValueError(f"online store {online!r}: choose one of {sorted(ONLINE_STORES)}")
    section = ONLINE_STORES[online].format(url_file=json.dumps(str(_url_file(home))))
    where = f"  tables: {json.dumps(tables)}\n" if tables else ""
    return SETTINGS.format(
        key_version=ENTITY_KEY_VERSION, max_events=max_events, tables=where, online=section
    )


def table_uri(home: Path, tables: str | None, name: str) -> str:
    """Where an offline table lies: below `tables`, or in the home where none is set."""
    return f"{tables.rstrip('/')}/{name}" if tables else str(home / "data" / name)


def _url_file(home: Path) -> Path:
    """Where Redis is, password included; absolute, for Feast does not tell a store its home."""
    return home.absolute() / "data" / "redis_url"


def _write_url(home: Path, url: SecretStr | None) -> bool:
    """Keep the URL for those who open the home, readable by its owner alone; False if it was."""
    file = _url_file(home)
    if url is None:
        file.unlink(missing_ok=True)
        return False
    if file.is_file() and file.read_text(encoding="utf-8") == url.get_secret_value():
        return False
    write_atomically(file, url.get_secret_value().encode(), mode=0o600)
    return True


def _ask_redis(url: SecretStr | None) -> None:
    if url is None:
        raise InputError("the online store redis needs features.redis_url")
    # Here: who keeps to SQLite needs no Redis client.
    from streams.feature_store.eviction import ADVICE, eviction_of
    from streams.feature_store.redis import connect

    with closing(connect(url.get_secret_value())) as client:
        eviction = eviction_of(client)
    if eviction is None:
        logger.warning("the Redis of the features does not say whether it drops any: %s", ADVICE)
    elif eviction.loses_features:
        raise InputError(f"the Redis of features.redis_url would lose some: {eviction}; {ADVICE}")


@functools.cache
def _definitions() -> tuple[list[Any], str]:
    """The Feast objects of the definitions module, and a fingerprint of their content.

    Taken together and once: applying completes the objects in place, so later they look changed.
    """
    module = importlib.import_module(DEFINITIONS_MODULE)
    kinds = (Entity, FeatureView, FeatureService, DataSource)
    values = [v for value in vars(module).values() for v in _flat(value)]
    objects = [value for value in values if isinstance(value, kinds)]
    protos = [o.to_proto().SerializeToString(deterministic=True) for o in objects]
    return objects, hashlib.sha256(b"\0".join(protos)).hexdigest()


def _flat(value: object) -> list[object]:
    """The elements of a list, or the value itself."""
    return value if isinstance(value, list) else [value]


@contextmanager
def _locked(home: Path, how: int) -> Iterator[None]:
    (home / "data").mkdir(parents=True, exist_ok=True)
    with (home / "data" / ".lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
