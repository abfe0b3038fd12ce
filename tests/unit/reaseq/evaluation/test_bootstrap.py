"""`reaseq.evaluation.bootstrap`."""

from __future__ import annotations

import numpy as np
import pytest

from reaseq.evaluation.bootstrap import resample


def test_a_mean_without_spread_is_certain() -> None:
    """All targets alike: the interval is a point."""
    interval = resample(np.ones(30), np.arange(30) % 5).interval()
    assert interval == (1.0, 1.0, 1.0)


def test_users_are_drawn_whole() -> None:
    """A thousand targets of two users are no better known than two numbers."""
    users = np.repeat([0, 1], 500)
    gains = users.astype(float)
    by_user = resample(gains, users).interval()
    by_target = resample(gains, np.arange(1000)).interval()
    assert (by_user.low, by_user.high) == (0.0, 1.0)
    assert by_target.high - by_target.low < 0.1
    assert by_user.value == by_target.value == 0.5


def test_the_interval_has_the_width_of_the_normal_one() -> None:
    """For many users with one target each it is mean plus or minus 1.96 standard errors."""
    gains = np.random.default_rng(1).random(2000)
    interval = resample(gains, np.arange(2000)).interval()
    error = 1.96 * gains.std() / np.sqrt(2000)
    assert interval.low == pytest.approx(gains.mean() - error, abs=0.15 * error)
    assert interval.high == pytest.approx(gains.mean() + error, abs=0.15 * error)


def test_a_difference_is_paired() -> None:
    """A scorer that is always better by 0.1 is surely better by 0.1, whatever the spread."""
    gains = np.random.default_rng(1).random(200)
    users = np.arange(200) % 40
    interval = resample(gains + 0.1, users).minus(resample(gains, users)).interval()
    np.testing.assert_allclose(interval, 0.1)


def test_without_targets_there_is_no_mean() -> None:
    """NaN, not an error: a report without orders can still be printed."""
    assert np.isnan(resample(np.zeros(0), np.zeros(0, np.int64)).interval()).all()
