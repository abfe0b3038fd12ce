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
