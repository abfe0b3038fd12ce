"""One SQLite connection a thread, so that Serve's threads and Ray's processes can share a file.

Feast's own store keeps one connection for all threads, whose transactions then run into each
other. Here a thread opens its own on first use; a forked child never touches what it inherited.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path


class ThreadConnections:
    """Hands out the calling thread's connection to a file, in WAL mode, without implicit BEGIN.

    `prepare` is SQL that every new connection runs (create what must exist).
    """

    def __init__(self, prepare: str, busy_timeout_s: float) -> None:
        self._prepare = prepare
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._inherited: list[sqlite3.Connection] = []

    def get(self, path: Path) -> sqlite3.Connection:
        """The calling thread's connection to `path`, opened when there is none yet."""
        owner = (os.getpid(), path)
        if getattr(self._local, "owner", None) != owner:
            self.drop()
            self._local.connection = self._open(path)
            self._local.owner = owner
        connection: sqlite3.Connection = self._local.connection
        return connection

    def drop(self) -> None:
        """Close the calling thread's connection, if it has one."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            return
        if self._local.owner[0] == os.getpid():
            connection.close()
        else:
            # SQLite forbids even closing a connection on the other side of a fork: keep it.
            self._inherited.append(connection)
        self._local.connection = self._local.owner = None

    def _open(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            # Feast's reads rely on its converters of declared column types.
            detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES,
            check_same_thread=False,
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives a killed process; only a power cut can lose the last ones. Who must
        # know that they are on the disk asks for it (`GuardedSqliteOnlineStore.sync`).
        connection.execute("PRAGMA synchronous = NORMAL")
        # 32 MiB of log instead of 4 before a writer stops to fold it in: a third more inserts.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute(self._prepare)
        return connection
