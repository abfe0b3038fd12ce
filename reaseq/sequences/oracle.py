"""What the sequences must be: the plain definition, recomputed in one batch from all events.

Written for the eye, with a dictionary per user and no shared code with the columnar merge but the
key function, so that the two can check each other (tests, and the demo's `sequence_mismatches`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.sequences.hashing import hash64

_TYPE_ORDER = {event_type.value: order for order, event_type in enumerate(EventType)}


class SequenceEvent(NamedTuple):
    """One event of a sequence; tuples compare in the order of the merge's total order."""

    event_time_ms: int
    event_key: int
    item_hash: int
    type_order: int
    value_bits: int
    item_id: str
    event_type: str


def newest_distinct_events(events: pa.Table, max_events: int) -> dict[str, list[SequenceEvent]]:
    """Each user's newest `max_events` distinct events (EVENT_SCHEMA in), oldest first."""
    by_user: dict[str, dict[int, SequenceEvent]] = defaultdict(dict)
    for user_id, event in zip(events["user_id"].to_pylist(), _each(events), strict=True):
        known = by_user[user_id].get(event.event_key)
        if known is None or event > known:
            by_user[user_id][event.event_key] = event
    return {user: sorted(held.values())[-max_events:] for user, held in by_user.items()}


def _each(events: pa.Table) -> list[SequenceEvent]:
    values = np.asarray(pc.fill_null(events["value"], np.nan), dtype=np.float64)
    types = events["event_type"].to_pylist()
    return list(
        map(
            SequenceEvent,
            events["event_time_ms"].to_pylist(),
            hash64(events["event_id"]).tolist(),
            hash64(events["item_id"]).tolist(),
            [_TYPE_ORDER[name] for name in types],
            values.view(np.int64).tolist(),
            events["item_id"].to_pylist(),
            types,
        )
    )


def mismatched_users(rows: pa.Table, oracle: dict[str, list[SequenceEvent]]) -> list[str]:
    """Users whose sequence row (SEQUENCE_SCHEMA) is not the oracle's, or on one side only."""
    found = {
        user: list(zip(times, keys, items, types, strict=True))
        for user, times, keys, items, types in zip(
            rows["user_id"].to_pylist(),
            rows["event_times_ms"].to_pylist(),
            rows["event_keys"].to_pylist(),
            rows["item_ids"].to_pylist(),
            rows["event_types"].to_pylist(),
            strict=True,
        )
    }
    expected = {
        user: [(e.event_time_ms, e.event_key, e.item_id, e.event_type) for e in held]
        for user, held in oracle.items()
    }
    return sorted(
        user for user in found.keys() | expected.keys() if found.get(user) != expected.get(user)
    )
