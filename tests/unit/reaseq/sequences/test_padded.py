"""`reaseq.sequences.padded`."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.sequences.padded import EVENT_TYPE_CODES, pad_sequences
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c"])
KINDS = [*EVENT_TYPE_CODES, "teleport"]

Event = tuple[str, str, int]

lists = st.lists(
    st.one_of(
        st.none(),
        st.lists(
            st.tuples(st.sampled_from("abcx"), st.sampled_from(KINDS), st.integers(1, 99)),
            max_size=6,
        ),
    ),
    max_size=5,
)


def table_of(rows: list[list[Event] | None]) -> pa.Table:
    """The list columns of SEQUENCE_SCHEMA; None is what a join gives for an unknown user."""
    columns = {
        name: pa.array(
            [None if row is None else [event[i] for event in row] for row in rows], pa.list_(kind)
        )
        for i, (name, kind) in enumerate(
            [
                ("item_ids", pa.string()),
                ("event_types", pa.string()),
                ("event_times_ms", pa.int64()),
            ]
        )
    }
    return pa.table(columns)


@given(lists, st.integers(1, 8), st.booleans())
def test_padding_equals_its_definition(
    rows: list[list[Event] | None], num_events: int, sliced: bool
) -> None:
    """The newest events stand at the right end; unknown items and types are 0."""
    table = table_of([[("a", "view", 1)], *rows]).slice(1) if sliced else table_of(rows)
    padded = pad_sequences(table, ITEMS, num_events)
    width = min(num_events, max([len(row or []) for row in rows], default=0))
    assert padded.codes.shape == (len(rows), width)
    for i, row in enumerate(rows):
        newest = (row or [])[-width:] if width else []
        padding = [0] * (width - len(newest))
        codes = ITEMS.encode([event[0] for event in newest]).tolist()
        assert padded.codes[i].tolist() == padding + codes
        kinds = [EVENT_TYPE_CODES.get(event[1], 0) for event in newest]
        assert padded.types[i].tolist() == padding + kinds
        assert padded.times_ms[i].tolist() == padding + [event[2] for event in newest]
