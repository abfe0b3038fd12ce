"""What the behaviour generator infers: candidates that no log holds."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from reaseq.candidates.source import Candidates, CandidateSource
from reaseq.sequences.padded import pad_generated
from reaseq.vocabulary import ItemVocabulary


class GeneratedItems(CandidateSource):
    """The generated behaviours that stand beside a sequence (`with_generated`), as candidates."""

    name: ClassVar[str] = "generated"

    def __init__(self, vocabulary: ItemVocabulary) -> None:
        self.vocabulary = vocabulary

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """At most `num`, most probable first; none where nothing was generated."""
        if not sequence.num_rows:
            return Candidates(self.name, np.zeros(0, np.int64), np.zeros(0, np.float32))
        padded = pad_generated(sequence, self.vocabulary, num)
        known = padded.codes[0] > 0
        return Candidates(self.name, padded.codes[0][known], padded.probabilities[0][known])

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        """Nothing is kept: the generated behaviours come with each sequence."""
        return cls(vocabulary)
