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
    for day in history.days.tolist():
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


def test_days_without_orders_take_the_next_of_those_with() -> None:
    """A label before, between or after the orders still finds features, none of its future."""
    history = ItemTrends(1, [1.0]).follow(*columns([(1, 3), (1, 7)]))
    early, between, late = history.at(np.array([0, 5, 99]))
    assert early[0, 1] == 0
    assert between[0, 1] == pytest.approx(history.features[1][0, 1])
    assert late[0, 1] == pytest.approx(history.features[-1][0, 1])


def test_a_history_takes_room_by_its_active_days() -> None:
    """One order at time 0 among those of a week forty years later: eight days, not 15,000."""
    week = [(1, 15_000 + day) for day in range(7)]
    history = ItemTrends(1, [1.0]).follow(*columns([(1, 0), *week]))
    assert history.features.shape == (8, 1, 2)


@pytest.mark.parametrize("wrong_day", [0, 15_002, 47_117])
def test_one_order_of_a_wrong_day_leaves_the_demand(wrong_day: int) -> None:
    """Far back, two days ahead or in 2099; afterwards new orders count as if it had not been."""
    month = [(1, 15_000 - day) for day in range(30) for _ in range(10)]
    right, disturbed = ItemTrends(2, [7.0]), ItemTrends(2, [7.0])
    right.observe(*columns(month))
    disturbed.observe(*columns([*month, (2, wrong_day)]))
    for trends in (right, disturbed):
        trends.observe(*columns([(1, 15_001)] * 10))
    assert disturbed.day is not None
    assert 0 <= disturbed.day - 15_001 <= 1
    expected = right.features(15_002)[0, 1]
    assert disturbed.features(15_002)[0, 1] == pytest.approx(expected, rel=0.05)
    assert expected > 1
