"""Feast's sqlite online store with the guard of `streams.feature_store.guard`.

Feast's own store lets the last writer win, whatever its event time, keeps times in whole seconds
and shares one connection among threads. The versions of the rows live in a small table of our own
beside Feast's tables and change in the same transaction. Reading stays Feast's.

Feast's layout is a row a feature. One statement writes all features of a row, and SQLite's driver
takes its values from columns, so no Python runs for a row (`make bench-feature-write`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.types import Bools, Int64s
from streams.feature_store.connections import ThreadConnections
from streams.feature_store.encoding import EncodedRows, readable
from streams.feature_store.guard import Guarded, Stored, pass_guard

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

SYNCED = 1
"""A number in the file's head that nobody reads; setting it writes a page."""

WRITE_VERSION = "INSERT OR REPLACE INTO reaseq_row_version VALUES (?, ?, ?, ?)"

DELETE_VERSION = """
DELETE FROM reaseq_row_version WHERE view_table = ? AND entity_key = ? AND event_time_us <= ?
"""


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """The `online_store` section of `feature_store.yaml`; Feast finds it by name."""

    type: Literal["streams.feature_store.sqlite.GuardedSqliteOnlineStore"] = (
        "streams.feature_store.sqlite.GuardedSqliteOnlineStore"  # type: ignore[assignment]
    )


class GuardedSqliteOnlineStore(Guarded, SqliteOnlineStore):
    """Feast's sqlite layout, guarded writes, safe for many threads and processes."""

    def __init__(self) -> None:
        super().__init__()
        self._connections = ThreadConnections(GUARD_TABLE, BUSY_TIMEOUT_S)

    def write_rows(
        self, config: RepoConfig, view: FeatureView, batches: Iterable[EncodedRows]
    ) -> int:
        """See `GuardedOnlineStore.write_rows`; one short transaction, all or nothing."""
        table = compute_table_id(config.project, view)
        connection = self._get_conn(config)
        whole = list(batches)  # encoded before others have to wait
        with _immediate_transaction(connection):
            num_accepted = sum(_write(connection, table, rows) for rows in whole)
        self._count(view.name, num_accepted, sum(map(len, whole)) - num_accepted)
        return num_accepted

    def has_rows(self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array) -> Bools:
        """See `GuardedOnlineStore.has_rows`; a look into an index for each key."""
        table = compute_table_id(config.project, view)
        connection = self._get_conn(config)
        keys = entity_keys.to_pylist()
        select = f'SELECT DISTINCT entity_key FROM "{table}" WHERE entity_key IN'
        found = {key for some in _some(keys) for (key,) in _select(connection, select, some)}
        return np.array([key in found for key in keys], np.bool_)

    def delete_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array, until_us: int
    ) -> int:
        """See `GuardedOnlineStore.delete_rows`; what is removed is overwritten in the files too."""
        table = compute_table_id(config.project, view)
        connection = self._get_conn(config)
        num_deleted = 0
        connection.execute("PRAGMA secure_delete = ON")
        try:
            with _immediate_transaction(connection):
                for key in entity_keys.to_pylist():
                    is_gone = connection.execute(DELETE_VERSION, (table, key, until_us)).rowcount
                    if is_gone:
                        connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (key,))
                    num_deleted += is_gone
        finally:
            connection.execute("PRAGMA secure_delete = OFF")
        # Without waiting for readers: what is left in the log is overwritten with the next one.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return num_deleted

    def sync(self, config: RepoConfig) -> None:
        """Return when every commit before is on the disk, those of other writers too.

        A commit by itself is in the file, which a killed process cannot take back, but a power cut
        can: waiting for the disk each time would cost more than the writing. SQLite waits for the
        whole of its log when one commit does, so here one does.
        """
        connection = self._get_conn(config)
        connection.execute("PRAGMA synchronous = FULL")
        try:
            with _immediate_transaction(connection):
                connection.execute(f"PRAGMA user_version = {SYNCED}")  # something to commit
        finally:
            connection.execute("PRAGMA synchronous = NORMAL")

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


def _stored_versions(connection: sqlite3.Connection, table: str, keys: list[bytes]) -> Stored:
    """The versions of those keys that Feast's table holds.

    A version without a row does not count: Feast may have dropped the table with its view.
    """
    select = (
        "SELECT entity_key, event_time_us, revision FROM reaseq_row_version AS v"
        f' WHERE EXISTS (SELECT 1 FROM "{table}" AS t WHERE t.entity_key = v.entity_key)'
        f" AND view_table = {_text(table)} AND entity_key IN"
    )
    versions = {
        key: (time_us, revision)
        for some in _some(keys)
        for key, time_us, revision in _select(connection, select, some)
    }
    is_there = np.array([key in versions for key in keys], np.bool_)
    found = np.array([versions.get(key, (0, 0)) for key in keys], np.int64).reshape(-1, 2)
    return Stored(is_there, found[:, 0].copy(), found[:, 1].copy())


def _some(keys: list[bytes]) -> Iterator[list[bytes]]:
    """The keys in lists that fit into one statement."""
    for start in range(0, len(keys), MAX_VARIABLES):
        yield keys[start : start + MAX_VARIABLES]


def _select(
    connection: sqlite3.Connection, select: str, keys: list[bytes]
) -> Iterable[tuple[Any, ...]]:
    return connection.execute(f"{select} ({','.join('?' * len(keys))})", keys)


def _write(connection: sqlite3.Connection, table: str, rows: EncodedRows) -> int:
    """Write the rows that pass the guard; return how many passed."""
    stored = _stored_versions(connection, table, rows.entity_keys.to_pylist())
    num_accepted, newest = pass_guard(rows, stored)
    _write_all(connection, table, rows if len(newest) == len(rows) else rows.take(newest))
    return num_accepted


def _write_all(connection: sqlite3.Connection, table: str, rows: EncodedRows) -> None:
    """Write rows of distinct keys and their versions."""
    keys = rows.entity_keys.to_pylist()
    columns = [keys, _seconds(rows.event_times_us), _seconds(rows.event_times_us + rows.revisions)]
    columns += [column.to_pylist() for column in rows.values.values()]
    columns += map(readable, rows.scalars.values())
    connection.executemany(_upsert(table, rows), zip(*columns, strict=True))
    versions = zip(repeat(table), keys, rows.event_times_us.tolist(), rows.revisions.tolist())
    connection.executemany(WRITE_VERSION, versions)


def _upsert(table: str, rows: EncodedRows) -> str:
    """Writes a row in Feast's layout: one row a feature.

    Parameters: key, event time and created time in whole seconds (which is why we keep our own),
    the features' bytes, and the texts of those that have one.
    """
    text_at = {name: 4 + len(rows.values) + place for place, name in enumerate(rows.scalars)}
    features = ", ".join(
        f"(?1, {_text(name)}, ?{4 + place}, {f'?{text_at[name]}' if name in text_at else 'NULL'},"
        " ?2, ?3)"
        for place, name in enumerate(rows.values)
    )
    return (
        f'INSERT INTO "{table}" (entity_key, feature_name, value, value_text, event_ts, created_ts)'
        f" VALUES {features} ON CONFLICT (entity_key, feature_name) DO UPDATE SET"
        " value = excluded.value, value_text = excluded.value_text,"
        " event_ts = excluded.event_ts, created_ts = excluded.created_ts"
    )


def _seconds(times_us: Int64s) -> list[int]:
    seconds: list[int] = (times_us // 1_000_000).tolist()
    return seconds


def _text(content: str) -> str:
    """A text as SQL writes it."""
    return "'" + content.replace("'", "''") + "'"
