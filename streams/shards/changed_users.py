"""Whose sequence has changed enough to generate for them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.feature_views import GENERATED, SEQUENCES
from streams.feature_store.ports import FeatureTables
from streams.shards.follower import Followed
from streams.shards.positions import Position


class Due(NamedTuple):
    """Users to generate for: their sequences, and the log positions these include."""

    sequences: pa.Table
    positions: list[Position]


class _Waiting(NamedTuple):
    newest_event_time_ms: int
    position: Position


class ChangedUsers:
    """Collects users with new events until the features show these, and then tells who is due.

    A user is due whose sequence holds at least `min_new_events` events newer than what the stored
    generated behaviours were made for. The rule needs no memory, so a restart forgets nothing.
    """

    def __init__(self, features: FeatureTables, min_new_events: int) -> None:
        self._features = features
        self._min_new_events = min_new_events
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        """Users that wait to be looked at."""
        return len(self._waiting)

    def note(self, followed: Iterable[Followed]) -> None:
        """These events have arrived in the log."""
        for partition, table, next_offset in followed:
            newest = table.group_by("user_id").aggregate([("event_time_ms", "max")]).to_pylist()
            for row in newest:
                self._wait(
                    row["user_id"],
                    row["event_time_ms_max"],
                    Position(partition.number, next_offset),
                )

    def again(self, due: Due) -> None:
        """Nothing could be generated for these: they wait again."""
        newest_ms = due.sequences["newest_event_time_ms"].to_pylist()
        users = due.sequences["user_id"].to_pylist()
        for user_id, time_ms, position in zip(users, newest_ms, due.positions, strict=True):
            self._wait(user_id, time_ms, position)

    def due(self, max_users: int) -> Due:
        """At most `max_users` who are due; those looked at no longer wait."""
        users = list(self._waiting)[:max_users]
        sequences = self._features.read(SEQUENCES, users)
        awaited_ms = [
            self._waiting[user_id].newest_event_time_ms
            for user_id in sequences["user_id"].to_pylist()
        ]
        newest_ms = sequences["newest_event_time_ms"].to_numpy()
        sequences = sequences.filter(pa.array(newest_ms >= np.array(awaited_ms, np.int64)))
        shown = {
            user_id: self._waiting.pop(user_id) for user_id in sequences["user_id"].to_pylist()
        }
        # Those who are not shown yet go to the end, or they would keep others from their turn.
        for user_id in users:
            if user_id in self._waiting:
                self._waiting[user_id] = self._waiting.pop(user_id)
        changed = sequences.filter(pa.array(self._num_new(sequences) >= self._min_new_events))
        return Due(changed, [shown[u].position for u in changed["user_id"].to_pylist()])

    def _num_new(self, sequences: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Events of each sequence that its user's generated behaviours were not made for."""
        generated = self._features.read(GENERATED, sequences["user_id"].to_pylist())
        known_ms = dict(
            zip(
                generated["user_id"].to_pylist(),
                generated["newest_event_time_ms"].to_pylist(),
                strict=True,
            )
        )
        since_ms = [known_ms.get(user_id, -1) for user_id in sequences["user_id"].to_pylist()]
        lists = sequences["event_times_ms"]
        row = pc.list_parent_indices(lists).to_numpy()
        is_new = pc.list_flatten(lists).to_numpy() > np.array(since_ms, np.int64)[row]
        return np.bincount(row, is_new, minlength=sequences.num_rows).astype(np.int64)

    def _wait(self, user_id: str, newest_ms: int, position: Position) -> None:
        known = self._waiting.get(user_id)
        if known is None or newest_ms >= known.newest_event_time_ms:
            self._waiting[user_id] = _Waiting(newest_ms, position)
