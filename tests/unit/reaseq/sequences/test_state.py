"""The algebra of the merge: any order, split or repetition ends in the oracle's state."""

from __future__ import annotations

import itertools
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from reaseq.sequences.state import SequenceState

MAX_EVENTS = 4

# Few users, ids and times, so that conflicts, ties and overflow of the window all happen.
event_rows = st.lists(
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from([f"e{n}" for n in range(9)]),
            "user_id": st.sampled_from(["ann", "bob"]),
            "item_id": st.sampled_from(["lamp", "mug", "vase"]),
            "event_type": st.sampled_from([str(t) for t in EventType]),
            "event_time_ms": st.integers(0, 6),
            "value": st.sampled_from([None, 1.0, 2.5]),
        }
    ),
    max_size=40,
)


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def mismatches(state: SequenceState, rows: list[dict[str, object]]) -> list[str]:
    return mismatched_users(state.rows(), newest_distinct_events(table(rows), MAX_EVENTS))


def contents(state: SequenceState) -> list[str]:
    """Rows by user as text, because a missing value is NaN and unequal to itself."""
    return sorted(repr(row) for row in state.rows().to_pylist())


@given(rows=event_rows, seed=st.integers(0, 2**16), cuts=st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=100)
def test_any_order_and_split_gives_the_oracles_sequences(
    rows: list[dict[str, object]], seed: int, cuts: list[int]
) -> None:
    """Shuffled, cut anywhere and partly repeated, the stream ends in what one batch gives."""
    rng = random.Random(seed)
    repeated = rows + rng.choices(rows, k=len(rows) // 2) if rows else rows
    shuffled = rng.sample(repeated, k=len(repeated))
    state = SequenceState(MAX_EVENTS)
    edges = [0, *sorted(min(cut, len(shuffled)) for cut in cuts), len(shuffled)]
    for start, end in itertools.pairwise(edges):
        state.merge(table(shuffled[start:end]))
    assert mismatches(state, rows) == []


@given(left=event_rows, right=event_rows)
@settings(max_examples=60)
def test_a_state_rebuilt_from_its_rows_goes_on_as_if_never_stopped(
    left: list[dict[str, object]], right: list[dict[str, object]]
) -> None:
    """Rows are the whole state: checkpoint, reload and merge on."""
    state = SequenceState(MAX_EVENTS)
    state.merge(table(left))
    resumed = SequenceState.from_rows(state.rows(), MAX_EVENTS)
    state.merge(table(right))
    resumed.merge(table(right))
    assert contents(resumed) == contents(state)
    assert mismatches(resumed, left + right) == []


@given(rows=event_rows)
@settings(max_examples=60)
def test_merging_again_changes_nothing(rows: list[dict[str, object]]) -> None:
    """A replay is invisible: no changed user, no accepted event, the same revisions."""
    state = SequenceState(100)
    state.merge(table(rows))
    before = contents(state)
    again = state.merge(table(rows))
    assert again.num_accepted == 0
    assert len(again.slots) == 0
    assert contents(state) == before


@given(left=event_rows, right=event_rows)
@settings(max_examples=60)
def test_a_merge_names_the_sequences_that_it_changed(
    left: list[dict[str, object]], right: list[dict[str, object]]
) -> None:
    """Those and no others: only they are written anywhere."""
    state = SequenceState(MAX_EVENTS)
    state.merge(table(left))
    before = {repr(row) for row in state.rows().to_pylist()}
    merged = state.merge(table(right))
    changed = {repr(row) for row in state.rows().to_pylist()} - before
    assert {repr(row) for row in state.rows(merged.slots).to_pylist()} == changed


def test_revision_and_newest_time_only_grow() -> None:
    """A late event leaves the newest time alone and raises the revision."""
    state = SequenceState(MAX_EVENTS)
    row = {"user_id": "ann", "item_id": "mug", "event_type": "view"}
    first = state.rows(state.merge(table([{**row, "event_id": "a", "event_time_ms": 10}])).slots)
    late = state.rows(state.merge(table([{**row, "event_id": "b", "event_time_ms": 5}])).slots)
    assert first.schema == SEQUENCE_SCHEMA
    assert late["newest_event_time_ms"].to_pylist() == first["newest_event_time_ms"].to_pylist()
    assert late["revision"][0].as_py() > first["revision"][0].as_py()


def test_a_window_of_nothing_is_refused() -> None:
    """A sequence of no events cannot be asked for."""
    with pytest.raises(ValueError, match="max_events"):
        SequenceState(0)
