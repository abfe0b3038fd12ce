"""`reaseq.candidates.co_occurrence`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.types import DAY_MS, Float32s
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c", "d"])

Order = tuple[int, list[str]]


def events_of(orders: list[Order], user_id: str = "u") -> pa.Table:
    """The purchases of one user from (time, items)."""
    records = [
        {
            "event_id": f"{time_ms}-{item}",
            "user_id": user_id,
            "item_id": item,
            "event_type": "purchase",
            "event_time_ms": time_ms,
            "value": 1.0,
        }
        for time_ms, items in orders
        for item in items
    ]
    return pa.Table.from_pylist(records, schema=EVENT_SCHEMA)


def sequence(item_ids: list[str], event_type: str = "purchase") -> pa.Table:
    """One row of SEQUENCE_SCHEMA."""
    num = len(item_ids)
    row = {
        "user_id": "u",
        "item_ids": item_ids,
        "event_types": [event_type] * num,
        "event_times_ms": [1] * num,
        "event_values": [1.0] * num,
        "event_keys": list(range(num)),
        "newest_event_time_ms": 1,
        "revision": num,
    }
    return pa.Table.from_pylist([row], schema=SEQUENCE_SCHEMA)


def score(model: CoOccurrence, rows: pa.Table) -> Float32s:
    """The scores of one row."""
    scores: Float32s = model.score(rows, np.zeros(1, np.int64))[0]
    return scores


def test_scores_of_two_orders_by_hand() -> None:
    """pairs(a, .) = 2, 1, 1, 0 and a's damped count is 2 + 2; a repeat weighs threefold."""
    model = CoOccurrence(ITEMS, half_life_days=1e9, repeat_weight=3.0, shrinkage=2.0, damping=1.0)
    model.observe(events_of([(1, ["a", "b"]), (2, ["a", "c"])]))
    assert model.pairs().toarray()[1, 1:].tolist() == pytest.approx([2, 1, 1, 0])
    expected = [3 * 2 / 4, 1 / 4, 1 / 4, 0]
    np.testing.assert_allclose(score(model, sequence(["a"])), expected, rtol=1e-6)


def test_an_older_order_counts_less() -> None:
    """One half life before the newest order is worth a half."""
    model = CoOccurrence(ITEMS, half_life_days=1.0)
    model.observe(events_of([(DAY_MS, ["a", "b"]), (2 * DAY_MS, ["c", "d"])]))
    assert model.pairs()[1, 2] == pytest.approx(0.5)
    assert model.pairs()[3, 4] == pytest.approx(1.0)


orders = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.lists(st.sampled_from(["a", "b", "c", "d", "unknown"]), min_size=1, max_size=4),
    ),
    max_size=12,
    unique_by=lambda order: order[0],
)


@given(orders)
@settings(max_examples=50)
def test_order_by_order_equals_all_at_once(made: list[Order]) -> None:
    """Counting incrementally, late orders included, gives the counts of one batch."""
    made = [(day * DAY_MS, items) for day, items in made]
    at_once, one_by_one = CoOccurrence(ITEMS), CoOccurrence(ITEMS)
    at_once.observe(events_of(made))
    for order in made:
        one_by_one.observe(events_of([order]))
    bought = sequence(["b", "a", "b", "unknown"])
    np.testing.assert_allclose(score(one_by_one, bought), score(at_once, bought), rtol=1e-5)
    np.testing.assert_allclose(one_by_one.pairs().toarray(), at_once.pairs().toarray(), rtol=1e-9)


@given(orders)
def test_pairs_are_symmetric(made: list[Order]) -> None:
    """Bought together has no direction, and unknown items leave no trace."""
    model = CoOccurrence(ITEMS)
    model.observe(events_of(made))
    pairs = model.pairs().toarray()
    np.testing.assert_allclose(pairs, pairs.T)
    assert not pairs[0].any()


def test_only_purchases_of_known_items_draw_candidates() -> None:
    """A view, an unknown item or an empty sequence says nothing about what is bought with it."""
    model = CoOccurrence(ITEMS)
    model.observe(events_of([(1, ["a", "b"])]))
    assert model.candidates(sequence(["a"], "view"), 5).codes.tolist() == []
    assert model.candidates(sequence(["unknown"]), 5).codes.tolist() == []
    assert model.candidates(sequence([]), 5).codes.tolist() == []
    assert model.candidates(sequence(["a"]), 5).codes.tolist() == [1, 2]
    assert model.candidates(sequence(["a"]), 1).codes.tolist() == [1]


def test_a_loaded_model_goes_on_like_the_saved_one(tmp_path: Path) -> None:
    """Counts, settings and clock survive."""
    model = CoOccurrence(ITEMS, half_life_days=2.0, repeat_weight=1.5)
    model.observe(events_of([(1, ["a", "b"]), (2, ["b", "c"])]))
    model.save(tmp_path)
    loaded = CoOccurrence.load(tmp_path, ITEMS)
    for each in (model, loaded):
        each.observe(events_of([(DAY_MS, ["a", "d"])]))
    bought = sequence(["a", "b"])
    assert score(loaded, bought).tolist() == score(model, bought).tolist()
    with pytest.raises(ValueError, match="another vocabulary"):
        CoOccurrence.load(tmp_path, ItemVocabulary(["a"]))


def test_settings_that_divide_by_zero_are_refused() -> None:
    """A shrinkage of 0 would divide by the count of an item nobody bought."""
    with pytest.raises(ValueError, match="shrinkage"):
        CoOccurrence(ITEMS, shrinkage=0.0)


@pytest.mark.parametrize("wrong_day", [0, 15_790, 47_117])
def test_one_order_of_a_wrong_time_leaves_the_counts(wrong_day: int) -> None:
    """Of a hundred orders a day, one far back, two years ahead or in 2099 adds itself."""
    model = CoOccurrence(ITEMS)
    for day in range(15_000, 15_060):
        model.observe(events_of([(day * DAY_MS + n, ["a", "b"]) for n in range(100)]))
    before = model.pairs().sum()
    model.observe(events_of([(wrong_day * DAY_MS, ["c", "d"])]))
    assert before <= model.pairs().sum() <= before + 4
    model.observe(events_of([(15_060 * DAY_MS + n, ["a", "c"]) for n in range(100)]))
    assert model.pairs()[1, 3] > 90
