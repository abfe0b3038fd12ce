"""`reaseq.training.weights`."""

from __future__ import annotations

import numpy as np
import pytest

from reaseq.training.weights import weights_by_age
from reaseq.types import DAY_MS


def test_a_half_life_halves() -> None:
    """Ages of 0, 120 and 240 days, in any order."""
    times_ms = np.array([240, 0, 120]) * DAY_MS
    assert weights_by_age(times_ms, 120.0).tolist() == pytest.approx([1, 0.25, 0.5])


@pytest.mark.parametrize("wrong_day", [0, 15_790, 47_117])
def test_one_example_of_a_wrong_time_leaves_the_others_their_weights(wrong_day: int) -> None:
    """A day of decay at most, of a half life of 120; the one that is ahead weighs 1."""
    days = 15_000 + np.arange(257) // 4
    alone = weights_by_age(days * DAY_MS, 120.0)
    together = weights_by_age(np.append(days, wrong_day) * DAY_MS, 120.0)
    np.testing.assert_allclose(together[:-1], alone, rtol=0.01)
    assert together.max() == 1
