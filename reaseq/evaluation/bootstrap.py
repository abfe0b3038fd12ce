"""How sure a mean is: percentile intervals from resampling users.

Orders of one user resemble each other, so whole users are drawn, with all their targets. The same
draws serve every scorer, so differences between scorers are paired.
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.types import Float64s, Int64s

NUM_DRAWS = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over targets and the range that holds it with probability LEVEL."""

    value: float
    low: float
    high: float


class Resampled(NamedTuple):
    """A mean, and the same mean in each draw of users."""

    value: float
    draws: Float64s

    def interval(self) -> Interval:
        """The percentile interval."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.draws, [tail, 1 - tail])
        return Interval(self.value, float(low), float(high))

    def minus(self, other: Resampled) -> Resampled:
        """The paired difference; both must come from the same users and seed."""
        return Resampled(self.value - other.value, self.draws - other.draws)


def resample(gains: Float64s, users: Int64s, seed: int = 0) -> Resampled:
    """The mean of `gains` [targets], with `users` [targets] drawn with replacement.

        draw = sum_u w_u sum(gains of u) / sum_u w_u num_targets(u),  w ~ Multinomial(U, 1/U)

    Without targets everything is NaN.
    """
    if not len(gains):
        return Resampled(float("nan"), np.full(NUM_DRAWS, np.nan))
    _, user = np.unique(users, return_inverse=True)
    sums_U, counts_U = np.bincount(user, gains), np.bincount(user)
    num_users = len(counts_U)
    shares = np.full(num_users, 1 / num_users)
    weights = np.random.default_rng(seed).multinomial(num_users, shares, size=NUM_DRAWS)
    return Resampled(float(np.mean(gains)), (weights @ sums_U) / (weights @ counts_U))
