"""Feast's Redis online store with the guard of `streams.feature_store.guard`.

Feast's own store passes over a row whose event time equals the stored one, so a late event would
not be seen; told not to look, it lets the last writer win; and it compares in one step and writes
in another. Here both are one step (`streams.feature_store.redis_rows`). The version lies in the
row's own hash, beside Feast's fields. Reading stays Feast's.

The address may hold a password, so it is not in `feature_store.yaml` but in a file of its own that
only its owner may read. A Redis database serves one home: the keys do not tell homes apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis import Redis, RedisError
from redis import asyncio as redis_asyncio
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from reaseq.errors import InputError, NotReadyError
from reaseq.types import Bools
from streams.feature_store.encoding import EncodedRows
from streams.feature_store.guard import FeastRow, Guarded, OnlineStoreError
from streams.feature_store.redis_rows import RedisRows

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
"""Well above what a thousand rows take; a request of ours must not hang on a dead host."""

NUM_RETRIES = 2
"""Over a connection that broke; what is written twice is the same."""


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """The `online_store` section of `feature_store.yaml`; Feast finds it by name."""

    type: Literal["streams.feature_store.redis.GuardedRedisOnlineStore"] = (
        "streams.feature_store.redis.GuardedRedisOnlineStore"  # type: ignore[assignment]
    )
    url_file: Path
    """Holds the URL, `redis://user:password@host:port/database`; Feast's own settings of the
    connection are not used."""


class GuardedRedisOnlineStore(Guarded, RedisOnlineStore):
    """Feast's Redis layout, guarded writes, safe for many threads and processes."""

    _client: Redis | None = None
    _client_async: redis_asyncio.Redis | None = None

    def write_rows(
        self, config: RepoConfig, view: FeatureView, batches: Iterable[EncodedRows]
    ) -> int:
        """See `GuardedOnlineStore.write_rows`; some hundred rows are one step, a batch is not."""
        with self._rows(config, view) as stored:
            num_accepted, num_refused = stored.write(batches)
        self._count(view.name, num_accepted, num_refused)
        return num_accepted

    def has_rows(self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array) -> Bools:
        """See `GuardedOnlineStore.has_rows`; a round trip for some thousand keys."""
        with self._rows(config, view) as stored:
            return stored.has(entity_keys)

    def delete_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array, until_us: int
    ) -> int:
        """See `GuardedOnlineStore.delete_rows`; a transaction a row."""
        with self._rows(config, view) as stored:
            features = [field.name for field in view.features]
            return stored.delete(entity_keys, features, until_us)

    def sync(self, config: RepoConfig) -> None:
        """Nothing to do from here: what Redis keeps over a crash is for its own settings to say.

        With `appendonly yes` and `appendfsync always` an accepted write is kept; with `everysec`
        the last second may be missing.
        """

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """The same from an event loop."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def _read_hash_fields(
        self, config: RepoConfig, commands: list[tuple[bytes, list[str | bytes]]]
    ) -> list[list[Any]]:
        with _naming(self._get_client(config.online_store)):
            return super()._read_hash_fields(config, commands)

    @contextmanager
    def _rows(self, config: RepoConfig, view: FeatureView) -> Iterator[RedisRows]:
        """The rows of a view, whose errors say which Redis it was."""
        client = self._get_client(config.online_store)
        name = compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)
        with _naming(client):
            yield RedisRows(client, config.project, name)

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Redis:
        if self._client is None:
            self._client = connect(_url_in(online_store_config))
        return self._client

    async def _get_client_async(
        self, online_store_config: RedisOnlineStoreConfig
    ) -> redis_asyncio.Redis:
        if self._client_async is None:
            self._client_async = redis_asyncio.Redis.from_url(_url_in(online_store_config))
        return self._client_async


def connect(url: str) -> Redis:
    """The Redis at a URL, which has answered once.

    Raises OnlineStoreError when it does not answer, ValueError for what is no URL of a Redis.
    """
    try:
        client: Redis = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=ANSWER_TIMEOUT_S,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), NUM_RETRIES),
        )
    except ValueError as error:
        raise InputError(f"features.redis_url cannot be read: {error}") from error
    with _naming(client):
        client.ping()
    return client


@contextmanager
def _naming(client: Redis) -> Iterator[None]:
    """Redis' errors as one that says where it should be, without the password."""
    try:
        yield
    except RedisError as error:
        at = client.get_connection_kwargs()
        address = at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}"
        raise OnlineStoreError(
            f"Redis at {address} does not answer as it should: {error}; "
            "check the setting features.redis_url and that Redis runs"
        ) from error


def _url_in(online_store_config: RedisOnlineStoreConfig) -> str:
    assert isinstance(online_store_config, GuardedRedisOnlineStoreConfig)
    file = online_store_config.url_file
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotReadyError(f"no {file}: call Features.apply with a redis_url first") from None
