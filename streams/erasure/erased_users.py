"""Who asked to be forgotten, and up to when: what happened until then is never taken in again.

A Delta table beside the events, so that no replay, backfill or lost checkpoint can bring back what
was erased. It holds hashes of user ids and no ids. What a user does later is taken in as a
newcomer's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from reaseq.sequences.hashing import hash64
from reaseq.types import Bools, Column, Int64s
from streams.offline.tables import Commit, OfflineTable, new_run

ERASED_SCHEMA = pa.schema(
    [
        pa.field("user_hash", pa.int64(), nullable=False),  # reaseq.sequences.hashing
        pa.field("until_ms", pa.int64(), nullable=False),
    ]
)

NOT_ERASED_MS = np.iinfo(np.int64).min


class ErasedUsers(Protocol):
    """As those see it who take in events."""

    @property
    def version(self) -> int:
        """Of what is known here; grows with every erasure."""

    def refresh(self) -> bool:
        """Look for new erasures; whether there may be any."""

    def hashes(self) -> Int64s:
        """`hash64` of everybody's id."""

    def until_ms(self, user_ids: Column) -> Int64s:
        """Up to which event time each was erased; NOT_ERASED_MS for those who were not."""


class ErasedUsersTable:
    """The table, as it was when it was last looked at; nobody before `refresh`."""

    def __init__(self, uri: str | Path) -> None:
        self._table = OfflineTable.create(uri, ERASED_SCHEMA)
        self._version = -1
        self._hashes = np.zeros(0, np.int64)  # ascending
        self._until_ms = np.zeros(0, np.int64)

    @property
    def version(self) -> int:
        return self._version

    def add(self, user_id: str, until_ms: int) -> int:
        """Erase a user up to an event time; return the version from which on it is known."""
        row = {"user_hash": _hash_of(user_id), "until_ms": until_ms}
        self._table.append(pa.Table.from_pylist([row], ERASED_SCHEMA), Commit(new_run("erase")))
        self.refresh()
        return self._version

    def refresh(self) -> bool:
        version = self._table.version()
        if version == self._version:
            return False
        rows = self._table.read(ERASED_SCHEMA.names)
        hashes, until_ms = np.asarray(rows["user_hash"]), np.asarray(rows["until_ms"])
        in_order = np.lexsort((until_ms, hashes))
        hashes, until_ms = hashes[in_order], until_ms[in_order]
        is_last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
        self._hashes, self._until_ms = hashes[is_last], until_ms[is_last]
        self._version = version
        return True

    def hashes(self) -> Int64s:
        return self._hashes

    def until_ms(self, user_ids: Column) -> Int64s:
        found = np.full(len(user_ids), NOT_ERASED_MS)
        if len(self._hashes):
            asked = hash64(user_ids)
            place = np.minimum(np.searchsorted(self._hashes, asked), len(self._hashes) - 1)
            is_erased = self._hashes[place] == asked
            found[is_erased] = self._until_ms[place[is_erased]]
        return found


class Nobody:
    """Where nobody was erased."""

    version = -1

    def refresh(self) -> bool:
        """Nobody will be."""
        return False

    def hashes(self) -> Int64s:
        """None."""
        return np.zeros(0, np.int64)

    def until_ms(self, user_ids: Column) -> Int64s:
        """Nobody."""
        return np.full(len(user_ids), NOT_ERASED_MS)


NOBODY = Nobody()


def stay(records: pa.Table, erased: ErasedUsers) -> Bools:
    """Which records are not of users who were erased up to their time or later. [R]

    All of them where they are of no users.
    """
    if "user_id" not in records.column_names or not len(erased.hashes()):
        return np.ones(records.num_rows, np.bool_)
    is_later: Bools = np.asarray(records["event_time_ms"]) > erased.until_ms(records["user_id"])
    return is_later


def _hash_of(user_id: str) -> int:
    return int(hash64(pa.array([user_id], pa.string()))[0])
