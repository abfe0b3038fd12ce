"""The rows of a feature view in Redis: Feast's layout, written under the guard.

A few hundred rows at a time are one optimistic transaction: watch their keys, read their versions,
and write those that pass, which happens only if nobody has changed one of the keys meanwhile. Redis
so handles each value once, as it came. A script that compares and writes costs it twice as much,
because every value is copied into the script and out of it again (`docs/benchmarks.md`).

The keys of a transaction lie anywhere, so a Redis Cluster, whose nodes share them out, is not
supported. What is used of redis-py is a connection of the client's pool, whose timeouts, retries,
password and TLS hold for what is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.online_stores.helpers import _mmh3
from redis import Redis

from reaseq.types import Bools
from streams.feature_store.encoding import EncodedRows, encode_timestamps
from streams.feature_store.guard import ROWS_AT_ONCE, pass_guard
from streams.feature_store.replies import read_replies
from streams.feature_store.resp import Argument, Commands, commands
from streams.feature_store.version_texts import stored_versions, version_texts

KEYS_AT_ONCE = 5000
"""Keys asked for in one round trip."""

MULTI, EXEC = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"


class RedisRows:
    """The rows of one view of a project. `view` is the name that Feast gives it in its keys."""

    def __init__(self, client: Redis, project: str, view: str) -> None:
        self._client = client
        self._project = project.encode()
        self._view = view
        self._version_field = f"_version:{view}".encode()
        self._time_field = f"_ts:{view}".encode()

    def write(self, batches: Iterable[EncodedRows]) -> tuple[int, int]:
        """Write the rows that pass the guard; return how many passed, and how many did not."""
        num_rows = num_accepted = 0
        sent: _Transaction | None = None
        with _connection(self._client) as connection:
            # While Redis writes the one, the next batch is made.
            for rows in _of_bounded_size(batches):
                transaction = _Transaction(self, rows)
                num_rows += len(rows)
                num_accepted += self._finish(connection, sent)
                _retrying(connection, transaction.send)
                sent = transaction
            num_accepted += self._finish(connection, sent)
        return num_accepted, num_rows - num_accepted

    def has(self, entity_keys: pa.Array) -> Bools:
        """Which of the keys have a row in the view."""
        found: list[int] = []
        with _connection(self._client) as connection:
            for start in range(0, len(entity_keys), KEYS_AT_ONCE):
                keys = self.keys(entity_keys.slice(start, KEYS_AT_ONCE))
                asked = commands([b"HEXISTS", keys, self._time_field])
                found += _retrying(connection, partial(_answers, asked))
        return np.array(found, np.bool_)

    def delete(self, entity_keys: pa.Array, features: Sequence[str], until_us: int) -> int:
        """Remove the rows of these keys that are no newer than that; return how many there were."""
        fields = [self._version_field, self._time_field]
        fields += [_mmh3(f"{self._view}:{feature}") for feature in features]

        def delete(key: bytes, pipeline: Any) -> int:
            stored = stored_versions([tuple(pipeline.hmget(key, fields[:2]))])
            is_gone = bool(stored.is_there[0] and stored.event_times_us[0] <= until_us)
            pipeline.multi()
            if is_gone:
                pipeline.hdel(key, *fields)
            return int(is_gone)

        num_deleted = 0
        for key in self.keys(entity_keys).to_pylist():
            watched: Any = self._client.transaction
            num_deleted += watched(partial(delete, key), key, value_from_callable=True)
        return num_deleted

    def _finish(self, connection: Any, transaction: _Transaction | None) -> int:
        """How many rows of a transaction passed; in halves if another writer was faster.

        Smaller ones are less often in the way of others, so that all get on.
        """
        if transaction is None:
            return 0
        num_accepted: int | None = _retrying(connection, transaction.finish)
        if num_accepted is not None:
            return num_accepted
        rows = transaction.rows
        half = (len(rows) + 1) // 2
        parts = [rows.slice(start, half) for start in range(0, len(rows), half)]
        return sum(self._finish(connection, _Transaction(self, part)) for part in parts)

    def keys(self, entity_keys: pa.Array) -> pa.Array:
        """Where Feast keeps the rows of these entities."""
        return pc.binary_join_element_wise(entity_keys, self._project, b"")

    def reads(self, keys: pa.Array) -> Commands:
        """What asks for the versions of rows, and whether they are there."""
        return commands([b"HMGET", keys, self._version_field, self._time_field])

    def writes(self, keys: pa.Array, rows: EncodedRows) -> Commands:
        """What writes whole rows."""
        arguments: list[Argument] = [b"HSET", keys]
        arguments += [self._version_field, version_texts(rows.event_times_us, rows.revisions)]
        arguments += [self._time_field, encode_timestamps(rows.event_times_us)]
        for feature, values in rows.values.items():
            arguments += [_mmh3(f"{self._view}:{feature}"), values]
        return commands(arguments)


class _Transaction:
    """Some rows to write at once, in two steps: what was sent is answered later."""

    def __init__(self, layout: RedisRows, rows: EncodedRows) -> None:
        keys = layout.keys(rows.entity_keys)
        self.rows = rows
        self._keys = keys.to_pylist()
        self._reads = layout.reads(keys)
        self._writes = layout.writes(keys, rows)
        self._num_accepted = 0
        self._num_unanswered = 0

    def send(self, connection: Any) -> None:
        """Look at the versions, and send what passes the guard."""
        watch = connection.pack_command("WATCH", *self._keys)
        connection.send_packed_command([*watch, self._reads.all()])
        _, *versions = read_replies(connection, 1 + len(self._keys))
        self._num_accepted, newest = pass_guard(self.rows, stored_versions(versions))
        connection.send_packed_command([MULTI, *self._writes.only(newest), EXEC])
        # To MULTI, to each command that goes into the queue, and to EXEC.
        self._num_unanswered = len(newest) + 2

    def finish(self, connection: Any) -> int | None:
        """How many rows passed; None if another changed one of the keys, and nothing was written.

        Sends first what was not sent, or was and met an error.
        """
        if not self._num_unanswered:
            self.send(connection)
        count, self._num_unanswered = self._num_unanswered, 0
        *_, written = read_replies(connection, count)
        return None if written is None else self._num_accepted


def _of_bounded_size(batches: Iterable[EncodedRows]) -> Iterator[EncodedRows]:
    for rows in batches:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            yield rows.slice(start, ROWS_AT_ONCE)


def _answers(questions: Commands, connection: Any) -> list[Any]:
    connection.send_packed_command([questions.all()])
    return read_replies(connection, len(questions))


def _retrying(connection: Any, step: Callable[[Any], Any]) -> Any:
    """What `step` returns, tried again from its start over a connection that broke."""
    return connection.retry.call_with_retry(
        lambda: step(connection), lambda _: connection.disconnect()
    )


@contextmanager
def _connection(client: Redis) -> Iterator[Any]:
    """A connection of the client's pool; after an error it is closed, for answers may be unread."""
    connection: Any = client.connection_pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)
