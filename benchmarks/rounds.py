"""Two ways of doing the same, in turns: what each round took, and the ratio of a round's pair.

A ratio is taken within a round, because a machine's speed changes more between rounds than within.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.report import say


class Spread(msgspec.Struct, frozen=True):
    """The median of some rounds, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Of one figure a round."""
        rounded = [float(f"{figure:.4g}") for figure in figures]
        return cls(statistics.median(rounded), min(rounded), max(rounded))


def compare(
    what: str, unit: str, ours: Sequence[float], peers: Sequence[float]
) -> dict[str, Spread]:
    """Print and return our figures, the peer's, and ours divided by the peer's."""
    ratios = [own / other for own, other in zip(ours, peers, strict=True)]
    named = {"ours": Spread.of(ours), "peer": Spread.of(peers), "ratio": Spread.of(ratios)}
    for name, spread in named.items():
        label = f"{name} {unit}" if name != "ratio" else "ratio ours : peer"
        say(f"{what:<10} {label:<20} {spread.median:8.3g} ({spread.low:.3g} to {spread.high:.3g})")
    return named
