"""The rows of a feature view in Redis: Feast's layout, written under the guard.

A few hundred rows at a time are one optimistic transaction: watch their keys, read their versions,
and write those that pass, which happens only if nobody has changed one of the keys meanwhile. Redis
so handles each value once, as it came. A script that compares and writes costs it twice as much,
because every value is copied into the script and out of it again (`make bench-feature-write`).

The keys of a transaction lie anywhere, so a Redis Cluster, whose nodes share them out, is not
supported. What is used of redis-py is its public face: a connection of the client's pool, whose
timeouts, retries, password and TLS hold for what is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.online_stores.helpers import _mmh3
from redis import Redis

from reaseq.compiled import compiled
from reaseq.types import Bools, Bytes, Int64s
from streams.feature_store.encoding import EncodedRows, encode_timestamps
from streams.feature_store.guard import Stored, pass_guard
from streams.feature_store.resp import Argument, Commands, commands

ROWS_AT_ONCE = 200
"""Rows in one transaction: Redis compares every key to watch with those watched already."""

KEYS_AT_ONCE = 5000
"""Keys asked for in one round trip."""

NUM_DIGITS = 20
VERSION_LENGTH = 2 * NUM_DIGITS

MULTI, EXEC = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"


class RedisRows:
    """The rows of one view of a project. `view` is the name that Feast gives it in its keys."""

    def __init__(self, client: Redis, project: str, view: str) -> None:
        self._client = client
        self._project = project.encode()
        self._view = view
        self._version_field = f"_version:{view}".encode()
        self._time_field = f"_ts:{view}".encode()

    def write(self, rows: EncodedRows) -> int:
        """Write the rows that pass the guard; return how many passed."""
        starts = range(0, len(rows), ROWS_AT_ONCE)
        return sum(self._write_together(rows.slice(start, ROWS_AT_ONCE)) for start in starts)

    def has(self, entity_keys: pa.Array) -> Bools:
        """Which of the keys have a row in the view."""
        found: list[int] = []
        for start in range(0, len(entity_keys), KEYS_AT_ONCE):
            keys = self._keys(entity_keys.slice(start, KEYS_AT_ONCE))
            found += self._ask(commands([b"HEXISTS", keys, self._time_field]))
        return np.array(found, np.bool_)

    def _write_together(self, rows: EncodedRows) -> int:
        """One transaction; in halves when another writer was faster, so that both get on."""
        attempt = _Attempt(rows, self._keys(rows.entity_keys), self)
        accepted: int | None = self._on_a_connection(attempt.run)
        if accepted is not None:
            return accepted
        half = (len(rows) + 1) // 2
        parts = [rows.slice(start, half) for start in range(0, len(rows), half)]
        return sum(self._write_together(part) for part in parts)

    def reads(self, keys: pa.Array) -> Commands:
        """What asks for the versions of rows.

        A version without a time does not count: Feast removed the row with its view.
        """
        return commands([b"HMGET", keys, self._version_field, self._time_field])

    def writes(self, keys: pa.Array, rows: EncodedRows) -> Commands:
        """What writes whole rows."""
        arguments: list[Argument] = [b"HSET", keys]
        arguments += [self._version_field, version_texts(rows.event_times_us, rows.revisions)]
        arguments += [self._time_field, encode_timestamps(rows.event_times_us)]
        for feature, values in rows.values.items():
            arguments += [_mmh3(f"{self._view}:{feature}"), values]
        return commands(arguments)

    def _keys(self, entity_keys: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(entity_keys, self._project, b"")

    def _ask(self, questions: Commands) -> list[Any]:
        def answers(connection: Any) -> list[Any]:
            connection.send_packed_command([questions.all()])
            return [connection.read_response() for _ in range(len(questions))]

        found: list[Any] = self._on_a_connection(answers)
        return found

    def _on_a_connection(self, use: Callable[[Any], Any]) -> Any:
        """What `use` returns, tried again from its start over a connection that broke."""
        with _connection(self._client) as connection:
            return connection.retry.call_with_retry(
                lambda: use(connection), lambda _: connection.disconnect()
            )


class _Attempt:
    """One transaction, to be run until it works."""

    def __init__(self, rows: EncodedRows, keys: pa.Array, layout: RedisRows) -> None:
        self._rows = rows
        self._keys = keys.to_pylist()
        self._reads = layout.reads(keys)
        self._writes = layout.writes(keys, rows)

    def run(self, connection: Any) -> int | None:
        """How many rows passed the guard; None if a key was changed by another, and nothing was."""
        watch = connection.pack_command("WATCH", *self._keys)
        connection.send_packed_command([*watch, self._reads.all()])
        connection.read_response()
        stored = stored_versions([connection.read_response() for _ in self._keys])
        num_accepted, newest = pass_guard(self._rows, stored)
        connection.send_packed_command([MULTI, *self._writes.only(newest), EXEC])
        for _ in range(1 + len(newest)):
            connection.read_response()  # MULTI, and each command into the queue
        return None if connection.read_response() is None else num_accepted


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


def version_texts(event_times_us: Int64s, revisions: Int64s) -> pa.Array:
    """Versions as digits that compare as they do, whatever compares them."""
    digits = np.empty((len(revisions), VERSION_LENGTH), np.uint8)
    _write_digits(event_times_us, digits[:, :NUM_DIGITS])
    _write_digits(revisions, digits[:, NUM_DIGITS:])
    starts = np.arange(0, digits.size + 1, VERSION_LENGTH, dtype=np.int32)
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.binary(), len(digits), buffers)


def stored_versions(answers: list[tuple[bytes | None, bytes | None]]) -> Stored:
    """The versions in Redis' answers to `RedisRows.reads`."""
    is_there = np.array([None not in answer for answer in answers], np.bool_)
    texts = [version for version, time in answers if version is not None and time is not None]
    assert all(len(text) == VERSION_LENGTH for text in texts), "a version that is not ours"
    digits = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, VERSION_LENGTH)
    times_us, revisions = np.zeros((2, len(answers)), np.int64)
    times_us[is_there] = _read_digits(digits[:, :NUM_DIGITS])
    revisions[is_there] = _read_digits(digits[:, NUM_DIGITS:])
    return Stored(is_there, times_us, revisions)


SHIFT = np.uint64(2**63)
"""Added to a number, it makes the least one zero."""


@compiled
def _write_digits(numbers: Int64s, digits: npt.NDArray[np.uint8]) -> None:
    for row in range(len(numbers)):
        rest = np.uint64(numbers[row]) + SHIFT
        for place in range(NUM_DIGITS - 1, -1, -1):
            digits[row, place] = np.uint8(np.uint64(48) + rest % np.uint64(10))
            rest //= np.uint64(10)


@compiled
def _read_digits(digits: Bytes) -> Int64s:
    numbers = np.zeros(len(digits), np.int64)
    for row in range(len(digits)):
        number = np.uint64(0)
        for place in range(NUM_DIGITS):
            number = number * np.uint64(10) + np.uint64(digits[row, place] - np.uint8(48))
        numbers[row] = np.int64(number - SHIFT)
    return numbers
