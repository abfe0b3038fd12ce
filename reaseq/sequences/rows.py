"""Sequence rows (SEQUENCE_SCHEMA) as a whole: empty ones, and one for each user asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from reaseq.schemas import SEQUENCE_SCHEMA


def empty_sequences(user_ids: Sequence[str]) -> pa.Table:
    """The rows of users who have done nothing yet: no events, revision 0."""
    lists: dict[str, list[object]] = {
        field.name: [] for field in SEQUENCE_SCHEMA if pa.types.is_list(field.type)
    }
    numbers = {"newest_event_time_ms": 0, "revision": 0}
    rows = [{"user_id": user_id, **lists, **numbers} for user_id in user_ids]
    return pa.Table.from_pylist(rows, schema=SEQUENCE_SCHEMA)


def aligned(rows: pa.Table, user_ids: Sequence[str]) -> pa.Table:
    """One row for each of `user_ids`, in that order; an empty one where `rows` has none."""
    found = rows["user_id"].to_pylist()
    absent = sorted(set(user_ids) - set(found))
    place = {user_id: row for row, user_id in enumerate([*found, *absent])}
    complete = pa.concat_tables([rows, empty_sequences(absent)])
    return complete.take(pa.array([place[user_id] for user_id in user_ids], pa.int64()))
