"""How much an example counts: newer ones more, for what people want changes."""

from __future__ import annotations

import numpy as np

from reaseq.event_clock import clock_of
from reaseq.types import DAY_MS, Float64s, Int64s


def weights_by_age(times_ms: Int64s, half_life_days: float) -> Float64s:
    """2 ^ -(age / half life) of each example, where age is the time before now.

    Now is the examples' own (`reaseq.event_clock`); what is ahead of it has no age.

    Example: ages of 0, 120 and 240 days at a half life of 120 give 1, 1/2 and 1/4.
    """
    age_days = clock_of(times_ms).ages_ms(times_ms) / DAY_MS
    return np.asarray(np.exp2(-age_days / half_life_days))
