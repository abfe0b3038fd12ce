"""What a candidate source is: it narrows the catalogue to items worth ranking, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa

from reaseq.types import Float32s, Float64s, Int64s
from reaseq.vocabulary import ItemVocabulary


class Candidates(NamedTuple):
    """Items from one source, best first."""

    source: str
    """The name of the source; a slate gives it as the reason."""
    codes: Int64s
    """Codes of the vocabulary, distinct, none of them 0."""
    scores: Float32s
    """The source's own scores; they do not compare across sources."""


class CandidateSource(Protocol):
    """Draws candidates for one user, and travels in the model folder."""

    name: ClassVar[str]
    """What the source is called in a slate and in the folder."""

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """At most `num` candidates for the one row of `sequence` (SEQUENCE_SCHEMA)."""
        ...

    def observe(self, events: pa.Table) -> None:
        """Learn from applied events (EVENT_SCHEMA); a source that cannot passes them over."""
        return

    def save(self, folder: Path) -> None:
        """Write into an existing folder what `load` reads; nothing where nothing is kept."""
        return

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        """Read what `save` wrote with the same vocabulary."""
        ...


def best(source: str, scores_C: Float32s | Float64s, num: int) -> Candidates:
    """The `num` highest of `scores_C` (item of code c at c - 1) above 0; equal ones by code."""
    num = min(num, int((scores_C > 0).sum()))
    order = np.argsort(-scores_C, kind="stable")[:num]
    return Candidates(source, order.astype(np.int64) + 1, scores_C[order].astype(np.float32))
