"""`reaseq.sequences.rows`."""

from __future__ import annotations

import pyarrow as pa

from reaseq.schemas import GENERATED_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import aligned, empty_sequences, with_generated


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
