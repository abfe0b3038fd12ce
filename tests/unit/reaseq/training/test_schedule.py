"""`reaseq.training.schedule`."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.training.schedule import warm_up_and_cosine


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0.0, 0.04), (0.05, 0.52), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.2, 0.0)],
)
def test_the_rate_by_hand(progress: float, share: float) -> None:
    """A straight line up to a tenth, half a cosine down, nothing after the end."""
    assert warm_up_and_cosine(progress) == pytest.approx(share, abs=1e-12)


@given(st.floats(0, 1))
def test_it_stays_within_bounds(progress: float) -> None:
    """Never more than the learning rate, never below nothing."""
    assert 0 <= warm_up_and_cosine(progress) <= 1


def test_it_falls_after_the_warm_up() -> None:
    """By a quarter of the way down the cosine it has lost what a cosine loses."""
    assert warm_up_and_cosine(0.1 + 0.9 / 4) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
