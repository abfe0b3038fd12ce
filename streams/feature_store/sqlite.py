"""Feast's sqlite online store with the guard of `streams.feature_store.guard`.

Feast's own store lets the last writer win, whatever its event time, keeps times in whole seconds
and shares one connection among threads. The versions of the rows live in a small table of our own
beside Feast's tables and change in the same transaction. Reading stays Feast's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from streams.feature_store.connections import ThreadConnections
from streams.feature_store.encoding import EncodedRows
from streams.feature_store.guard import FeastRow, GuardCounts, RowVersion, encoded, pass_guard

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another."""

MAX_VARIABLES = 500
"""Keys in one SELECT. SQLite's limit is 999 in old builds, and more keys gain no speed."""

GUARD_TABLE = """
CREATE TABLE IF NOT EXISTS reaseq_row_version (
    view_table TEXT NOT NULL,
    entity_key BLOB NOT NULL,
    event_time_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (view_table, entity_key)
) WITHOUT ROWID
"""

WRITE_VERSION = "INSERT OR REPLACE INTO reaseq_row_version VALUES (?, ?, ?, ?)"


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """The `online_store` section of `feature_store.yaml`; Feast finds it by name."""

    type: Literal["streams.feature_store.sqlite.GuardedSqliteOnlineStore"] = (
        "streams.feature_store.sqlite.GuardedSqliteOnlineStore"  # type: ignore[assignment]
    )


class GuardedSqliteOnlineStore(GuardCounts, SqliteOnlineStore):
    """Feast's sqlite layout, guarded writes, safe for many threads and processes."""

    def __init__(self) -> None:
        super().__init__()
        self._connections = ThreadConnections(GUARD_TABLE, BUSY_TIMEOUT_S)

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """See `GuardedOnlineStore.write_rows`; one short transaction, all or nothing."""
        table = compute_table_id(config.project, view)
        connection = self._get_conn(config)
        with _immediate_transaction(connection):
            stored = _stored_versions(connection, table, rows.entity_keys)
            num_accepted, newest = pass_guard(rows, stored)
            connection.executemany(_upsert(table), _feature_rows(rows, newest))
            versions = ((table, rows.entity_keys[i], *rows.row_versions[i]) for i in newest)
            connection.executemany(WRITE_VERSION, versions)
        self._count(view.name, num_accepted, len(rows.row_versions) - num_accepted)
        return num_accepted

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Feast's own way in (`write_to_online_store`, `push`, `materialize`), guarded alike."""
        if not data:
            return
        self.write_rows(config, table, encoded(config, data))
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Feast's read, a few hundred keys at a time: it puts every key into one statement."""
        found: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for start in range(0, len(entity_keys), MAX_VARIABLES):
            keys = entity_keys[start : start + MAX_VARIABLES]
            found += super().online_read(config, table, keys, requested_features)
        return found

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Remove the database and what write-ahead logging leaves beside it."""
        self._connections.drop()
        super().teardown(config, tables, entities)
        for suffix in ("-wal", "-shm"):
            Path(self._get_db_path(config) + suffix).unlink(missing_ok=True)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        return self._connections.get(Path(self._get_db_path(config)))


@contextmanager
def _immediate_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock first: what is read inside cannot change before the commit."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _stored_versions(
    connection: sqlite3.Connection, table: str, entity_keys: list[bytes]
) -> dict[bytes, RowVersion]:
    """The versions of those keys that Feast's table holds.

    A version without a row does not count: Feast may have dropped the table with its view.
    """
    versions: dict[bytes, RowVersion] = {}
    for start in range(0, len(entity_keys), MAX_VARIABLES):
        keys = entity_keys[start : start + MAX_VARIABLES]
        found = connection.execute(
            f"SELECT entity_key, event_time_us, revision FROM reaseq_row_version AS v "
            f"WHERE view_table = ? AND entity_key IN ({','.join('?' * len(keys))}) "
            f'AND EXISTS (SELECT 1 FROM "{table}" AS t WHERE t.entity_key = v.entity_key)',
            [table, *keys],
        )
        versions.update((key, (time_us, revision)) for key, time_us, revision in found)
    return versions


def _upsert(table: str) -> str:
    return (
        f'INSERT INTO "{table}" (entity_key, feature_name, value, value_text, event_ts, created_ts)'
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entity_key, feature_name) DO UPDATE SET"
        " value = excluded.value, value_text = excluded.value_text,"
        " event_ts = excluded.event_ts, created_ts = excluded.created_ts"
    )


def _feature_rows(rows: EncodedRows, indices: list[int]) -> Iterator[tuple[object, ...]]:
    """Feast's layout: one row a feature, times in whole seconds (which is why we keep our own)."""
    columns = [(name, rows.values[name], rows.texts[name]) for name in rows.values]
    for i in indices:
        time_us, revision = rows.row_versions[i]
        event_s, created_s = time_us // 1_000_000, (time_us + revision) // 1_000_000
        for name, values, texts in columns:
            yield rows.entity_keys[i], name, values[i], texts[i], event_s, created_s
