"""`reaseq.ranker.trends`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.ranker.trends import ItemTrends
from reaseq.types import DAY_MS

orders = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), max_size=30)


def columns(made: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Codes and times from (code, day)."""
    codes = np.array([code for code, _ in made], np.int64)
    return codes, np.array([day * DAY_MS + 7 for _, day in made], np.int64)


def test_the_rate_of_one_order_by_hand() -> None:
    """An order of yesterday counts 1, one of two days ago a half at a half life of one day."""
    trends = ItemTrends(2, [1.0])
    trends.observe(*columns([(1, 5), (2, 4)]))
    rates = np.array([0.0, 1.0, 0.5]) * np.log(2)
    np.testing.assert_allclose(trends.features(6)[0], np.log(rates / 0.02 + 1) / 2, rtol=1e-6)


def test_a_day_does_not_see_itself() -> None:
    """Orders of the current day change tomorrow's features, not today's."""
    trends = ItemTrends(1, [3.0])
    trends.observe(*columns([(1, 5)]))
    assert trends.features(5)[0, 1] == 0
    assert trends.features(6)[0, 1] > trends.features(7)[0, 1] > 0


@given(orders)
def test_following_a_history_gives_what_was_known_each_day(made: list[tuple[int, int]]) -> None:
    """A day's features are those of a fresh instance that saw only the days before it."""
    history = ItemTrends(3, [2.0, 7.0]).follow(*columns(made))
    for day in range(history.first_day, history.first_day + len(history.features)):
        past = ItemTrends(3, [2.0, 7.0])
        past.observe(*columns([row for row in made if row[1] < day]))
        expected = past.features(day)
        np.testing.assert_allclose(history.at(np.array([day]))[0], expected, atol=1e-6)


@given(orders)
def test_portions_do_not_matter(made: list[tuple[int, int]]) -> None:
    """In time order, order by order equals all at once."""
    made = sorted(made, key=lambda row: row[1])
    at_once, one_by_one = ItemTrends(3, [2.0]), ItemTrends(3, [2.0])
    at_once.observe(*columns(made))
    for row in made:
        one_by_one.observe(*columns([row]))
    np.testing.assert_allclose(one_by_one.features(11), at_once.features(11), rtol=1e-6)


def test_loaded_trends_go_on_like_the_saved_ones(tmp_path: Path) -> None:
    """Sums and day survive, also before the first order."""
    for made in ([], [(1, 5), (2, 6)]):
        trends = ItemTrends(2, [1.0, 3.0])
        trends.observe(*columns(made))
        trends.save(tmp_path)
        loaded = ItemTrends.load(tmp_path)
        for each in (trends, loaded):
            each.observe(*columns([(2, 8)]))
        assert loaded.features(9).tolist() == trends.features(9).tolist()


def test_days_outside_a_history_take_the_nearest() -> None:
    """A label before or after the period still finds features."""
    history = ItemTrends(1, [1.0]).follow(*columns([(1, 3), (1, 4)]))
    early, late = history.at(np.array([0, 99]))
    assert early[0, 1] == 0
    assert late[0, 1] == pytest.approx(history.features[-1][0, 1])
