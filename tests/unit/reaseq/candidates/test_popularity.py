"""`reaseq.candidates.popularity`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.candidates.popularity import Popularity
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.types import DAY_MS
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c"])

Row = tuple[str, str, int]


def events_of(rows: list[Row]) -> pa.Table:
    """Events of one user from (item, type, time)."""
    names = ["item_id", "event_type", "event_time_ms"]
    records = [
        dict(zip(names, row, strict=True)) | {"event_id": str(i), "user_id": "u", "value": None}
        for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=EVENT_SCHEMA)


rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "unknown"]),
        st.sampled_from(["purchase", "view", "return"]),
        st.integers(0, 100 * DAY_MS),
    ),
    max_size=20,
)


def test_counts_halve_with_each_half_life() -> None:
    """A purchase one half life before the newest counts a half; views do not count."""
    popularity = Popularity(ITEMS, half_life_days=1.0)
    popularity.observe(events_of([("a", "purchase", 0), ("a", "view", 0)]))
    popularity.observe(events_of([("b", "purchase", DAY_MS), ("b", "purchase", DAY_MS)]))
    assert popularity.counts().tolist() == [0.5, 2.0, 0.0]


@given(rows, st.integers(0, 20), st.sampled_from([None, 3.0]))
def test_portions_and_their_order_do_not_matter(
    made: list[Row], cut: int, half_life: float | None
) -> None:
    """Events in two portions, late ones included, count as all at once."""
    at_once, late_first = Popularity(ITEMS, half_life), Popularity(ITEMS, half_life)
    at_once.observe(events_of(made))
    late_first.observe(events_of(made[cut:]))
    late_first.observe(events_of(made[:cut]))
    np.testing.assert_allclose(late_first.counts(), at_once.counts(), rtol=1e-9)


def test_everybody_gets_the_same_scores() -> None:
    """One row of counts for each sequence, in the order of the vocabulary."""
    popularity = Popularity(ITEMS, None)
    popularity.observe(events_of([("c", "purchase", 1), ("c", "purchase", 2)]))
    nobody = SEQUENCE_SCHEMA.empty_table()
    assert popularity.score(nobody, np.zeros(0, np.int64)).shape == (0, 3)
    top = popularity.candidates(nobody, 5)
    assert (top.source, top.codes.tolist(), top.scores.tolist()) == ("popular", [3], [2.0])


@pytest.mark.parametrize("half_life", [None, 2.0])
def test_a_loaded_popularity_goes_on_like_the_saved_one(
    tmp_path: Path, half_life: float | None
) -> None:
    """Counts, decay and clock survive."""
    popularity = Popularity(ITEMS, half_life)
    popularity.observe(events_of([("a", "purchase", 5)]))
    popularity.save(tmp_path)
    loaded = Popularity.load(tmp_path, ITEMS)
    for each in (popularity, loaded):
        each.observe(events_of([("b", "purchase", DAY_MS)]))
    assert loaded.counts().tolist() == popularity.counts().tolist()
    with pytest.raises(ValueError, match="another vocabulary"):
        Popularity.load(tmp_path, ItemVocabulary(["a"]))


def test_a_half_life_of_nothing_is_refused() -> None:
    """Zero would forget everything at once."""
    with pytest.raises(ValueError, match="half_life_days"):
        Popularity(ITEMS, 0.0)


def test_what_was_bought_long_ago_still_comes_last() -> None:
    """After years of silence one purchase does not leave a slate of one item."""
    popularity = Popularity(ITEMS, half_life_days=7.0)
    popularity.observe(events_of([("a", "purchase", 0)]))
    popularity.observe(events_of([("b", "purchase", 15 * 365 * DAY_MS)]))
    assert ITEMS.decode(popularity.top(3).codes) == ["b", "a"]


@pytest.mark.parametrize("wrong_ms", [0, 15_790 * DAY_MS, 47_117 * DAY_MS])
def test_one_purchase_of_a_wrong_time_does_not_empty_the_list(wrong_ms: int) -> None:
    """One of 2,000, far back, two years ahead or in 2099: what is bought next comes first."""
    rng = np.random.default_rng(0)
    days = 15_000 + rng.integers(60, size=2000)
    made = [("ab"[day % 2], "purchase", int(day) * DAY_MS) for day in days]
    popularity = Popularity(ITEMS)
    popularity.observe(events_of(made))
    before = popularity.counts()
    popularity.observe(events_of([("c", "purchase", wrong_ms)]))
    assert (popularity.counts()[:2] >= 0.9 * before[:2]).all()
    popularity.observe(events_of([("a", "purchase", 15_061 * DAY_MS)] * 500))
    assert ITEMS.decode(popularity.top(3).codes)[0] == "a"
    assert popularity.counts()[0] > 400
    assert popularity.counts()[2] <= 1
