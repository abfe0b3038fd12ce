"""What a candidate source is: it narrows the catalogue to items worth ranking, and says why."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from reaseq.types import Float32s, Float64s, Int64s


class Candidates(NamedTuple):
    """Items from one source, best first."""

    source: str
    """The name of the source; a slate gives it as the reason."""
    codes: Int64s
    """Int64s of the vocabulary, distinct, none of them 0."""
    scores: Float32s
    """The source's own scores; they do not compare across sources."""


class CandidateSource(Protocol):
    """Draws candidates for one user."""

    @property
    def name(self) -> str:
        """What the source is called in a slate."""
        ...

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """At most `num` candidates for the one row of `sequence` (SEQUENCE_SCHEMA)."""
        ...


def best(source: str, scores_C: Float32s | Float64s, num: int) -> Candidates:
    """The `num` highest of `scores_C` (item of code c at c - 1) above 0; equal ones by code."""
    num = min(num, int((scores_C > 0).sum()))
    order = np.argsort(-scores_C, kind="stable")[:num]
    return Candidates(source, order.astype(np.int64) + 1, scores_C[order].astype(np.float32))
