"""One SQLite connection for each thread, and none across a fork."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from streams.feature_store.connections import ThreadConnections

TABLE = "CREATE TABLE IF NOT EXISTS seen (name TEXT)"


@pytest.fixture
def connections() -> ThreadConnections:
    return ThreadConnections(TABLE, busy_timeout_s=5.0)


def test_a_thread_keeps_its_connection(connections: ThreadConnections, tmp_path: Path) -> None:
    """Asked for the same file; another file closes the one before."""
    first = connections.get(tmp_path / "a.db")
    assert connections.get(tmp_path / "a.db") is first
    other = connections.get(tmp_path / "b.db")
    assert other is not first
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first.execute("SELECT 1")
    connections.drop()


def test_threads_share_a_file_and_no_transaction(
    connections: ThreadConnections, tmp_path: Path
) -> None:
    """What one has not committed, another does not see, and what it has, at once."""
    path = tmp_path / "a.db"
    mine = connections.get(path)
    mine.execute("BEGIN")
    mine.execute("INSERT INTO seen VALUES ('mine')")
    found: list[object] = []

    def look() -> None:
        theirs = connections.get(path)
        found.extend([theirs is mine, theirs.execute("SELECT count(*) FROM seen").fetchone()[0]])
        connections.drop()

    for commit in (False, True):
        if commit:
            mine.execute("COMMIT")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == [False, 0, False, 1]
    connections.drop()


def test_a_new_file_is_prepared_in_a_folder_that_is_made(
    connections: ThreadConnections, tmp_path: Path
) -> None:
    """In WAL mode, so that readers and a writer do not wait for each other."""
    connection = connections.get(tmp_path / "deep" / "er" / "a.db")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("SELECT * FROM seen").fetchall() == []
    connections.drop()


def test_dropping_twice_is_harmless(connections: ThreadConnections, tmp_path: Path) -> None:
    """And a connection can be had again afterwards."""
    connections.drop()
    connections.get(tmp_path / "a.db")
    connections.drop()
    connections.drop()
    assert connections.get(tmp_path / "a.db").execute("SELECT 1").fetchone() == (1,)
    connections.drop()


def test_a_forked_child_opens_its_own(connections: ThreadConnections, tmp_path: Path) -> None:
    """The parent's connection still works afterwards: the child did not even close it."""
    path = tmp_path / "a.db"
    mine = connections.get(path)
    child = os.fork()
    if not child:
        theirs = connections.get(path)
        theirs.execute("INSERT INTO seen VALUES ('child')")
        os._exit(0 if theirs is not mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.execute("SELECT name FROM seen").fetchall() == [("child",)]
    connections.drop()
