"""`reaseq.sequences.rows`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from reaseq.schemas import EVENT_SCHEMA, GENERATED_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import aligned, empty_sequences, rows_after, with_generated
from reaseq.sequences.state import SequenceState


def generated_for(*user_ids: str) -> pa.Table:
    """One generated behaviour a user, named after them."""
    rows = [
        {
            "user_id": user_id,
            "item_ids": [f"for {user_id}"],
            "probabilities": [0.5],
            "model_version": "g1",
            **dict.fromkeys(("generated_at_ms", "partition", "next_offset"), 1),
            **dict.fromkeys(("newest_event_time_ms", "revision"), 1),
        }
        for user_id in user_ids
    ]
    return pa.Table.from_pylist(rows, schema=GENERATED_SCHEMA)


def test_everybody_asked_for_gets_a_row() -> None:
    """In the order asked for, twice if asked twice."""
    rows = aligned(empty_sequences(["b"]), ["c", "b", "c"])
    assert rows["user_id"].to_pylist() == ["c", "b", "c"]


def test_generated_behaviours_stand_beside_their_users_events() -> None:
    """By user, whatever the order; the logged columns stay untouched."""
    sequences = empty_sequences(["a", "b", "c"])
    rows = with_generated(sequences, generated_for("c", "a", "stranger"))
    assert rows["generated_item_ids"].to_pylist() == [["for a"], [], ["for c"]]
    assert rows["generated_probabilities"].to_pylist() == [[0.5], [], [0.5]]
    assert rows.select(SEQUENCE_SCHEMA.names).equals(sequences)


def test_without_anything_generated_the_columns_are_empty() -> None:
    """A table of no rows is a fine answer of the features."""
    rows = with_generated(empty_sequences(["a"]), GENERATED_SCHEMA.empty_table())
    assert rows["generated_item_ids"].to_pylist() == [[]]


def merged(events: list[tuple[str, int]]) -> pa.Table:
    """The sequences of users who did something at these times."""
    rows = [
        {
            "event_id": f"{user}{time_ms}",
            "user_id": user,
            "item_id": f"i{time_ms}",
            "event_type": "view",
            "event_time_ms": time_ms,
            "value": time_ms / 4,
        }
        for user, time_ms in events
    ]
    state = SequenceState()
    state.merge(pa.Table.from_pylist(rows, EVENT_SCHEMA))
    return state.rows()


@pytest.mark.parametrize("until", [(0, 0, 0), (3, 9, 1), (9, 0, 2), (9, 9, 9)])
def test_rows_after_a_time_are_those_of_the_events_after_it(until: tuple[int, int, int]) -> None:
    """Every list is cut alike; a user without any event left has no row."""
    rng = np.random.default_rng(sum(until))
    events = list(
        dict.fromkeys((f"u{rng.integers(3)}", int(rng.integers(1, 9))) for _ in range(30))
    )
    events.sort(key=lambda event: event[0])  # u0, u1, u2: the order of the rows
    later = rows_after(merged(events), np.array(until))
    expected = merged([e for e in events if e[1] > until[int(e[0][1])]])
    names = [name for name in SEQUENCE_SCHEMA.names if name != "revision"]
    assert later.select(names).to_pylist() == expected.select(names).to_pylist()


def test_rows_after_a_time_of_nobody() -> None:
    """No rows, and rows without events."""
    assert rows_after(SEQUENCE_SCHEMA.empty_table(), np.zeros(0, np.int64)).num_rows == 0
    assert rows_after(empty_sequences(["ann"]), np.zeros(1, np.int64)).num_rows == 0
