"""Sequences of any lengths share the arrays without touching each other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from reaseq.sequences.state import SequenceState


def events(num_events: int, num_users: int, seed: int) -> pa.Table:
    """Users of very different zeal, so that sequences grow past each other."""
    rng = np.random.default_rng(seed)
    users = (num_users * rng.random(num_events) ** 3).astype(int)
    return pa.table(
        {
            "event_id": [f"e{number}" for number in range(num_events)],
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{item}" for item in rng.integers(0, 50, num_events)],
            "event_type": ["view"] * num_events,
            "event_time_ms": rng.integers(0, num_events, num_events),
            "value": rng.random(num_events),
        },
        EVENT_SCHEMA,
    )


def test_growing_sequences_keep_their_events() -> None:
    """Each moves through blocks that others have left, in batches of any size."""
    log = events(20_000, 700, seed=1)
    state = SequenceState(60)
    for start in range(0, log.num_rows, 777):
        state.merge(log.slice(start, 777))
    assert mismatched_users(state.rows(), newest_distinct_events(log, 60)) == []


def test_short_sequences_take_little_room() -> None:
    """A user of three events does not hold room for a hundred."""
    log = events(30_000, 10_000, seed=2)
    state = SequenceState(100)
    state.merge(log)
    num_users = len(state)
    retained = sum(map(len, state.rows()["item_ids"].to_pylist()))
    assert state.num_bytes < 40 * retained + 80 * num_users
