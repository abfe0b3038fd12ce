"""A feature store in memory, with the guard every real one must have."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reaseq.schemas import SEQUENCE_SCHEMA


class MemorySequenceStore:
    """Online rows by user, offline parts by name."""

    def __init__(self) -> None:
        self.online: dict[str, dict[str, object]] = {}
        self.offline: dict[str, pa.Table] = {}

    def read_sequences(self, user_ids: list[str]) -> pa.Table:
        found = [self.online[user_id] for user_id in user_ids if user_id in self.online]
        return pa.Table.from_pylist(found, schema=SEQUENCE_SCHEMA)

    def write_sequences(self, rows: pa.Table) -> int:
        accepted = 0
        for row in rows.to_pylist():
            held = self.online.get(row["user_id"])
            if held is None or self._version(row) >= self._version(held):
                self.online[row["user_id"]] = row
                accepted += 1
        return accepted

    def append_sequences(self, snapshots: pa.Table, part: str) -> None:
        self.offline[part] = snapshots

    @staticmethod
    def _version(row: dict[str, object]) -> tuple[object, ...]:
        return row["newest_event_time_ms"], row["revision"]


@pytest.fixture
def store() -> MemorySequenceStore:
    return MemorySequenceStore()
