"""The learning rate over a training: a short warm-up, then a cosine down to nothing."""

from __future__ import annotations

import math

WARM_UP = 0.1
"""The share of all steps in which the rate rises."""

_FIRST = 0.04
"""The share of the learning rate at the first step."""


def warm_up_and_cosine(progress: float) -> float:
    """The share of the learning rate at `progress`, the share of steps that are done.

        progress < w:  0.04 + 0.96 progress / w
        else:          (1 + cos(pi (progress - w) / (1 - w))) / 2        with w = 0.1

    Example: 0 gives 0.04, 0.1 gives 1, 0.55 gives 0.5, 1 gives 0.
    """
    if progress < WARM_UP:
        return _FIRST + (1 - _FIRST) * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * min((progress - WARM_UP) / (1 - WARM_UP), 1.0)))
