"""What resembles the user's recent items: the source that knows items nobody has bought yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from reaseq.candidates.source import Candidates, CandidateSource, best
from reaseq.sequences.padded import pad_sequences
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary

FILE_NAME = "nearest.npz"


class NearestItems(CandidateSource):
    """Exact nearest item representations to the newest distinct items of a user.

        score(c) = max over recent items l: cos(representation(c), representation(l))

    `representations` is [num_items, D] in the order of the vocabulary; rows are normalised here.
    The recent items themselves score 0: "more like this", not "this again".
    """

    name: ClassVar[str] = "similar"

    def __init__(
        self,
        vocabulary: ItemVocabulary,
        representations: Float32s,
        num_recent: int = 20,
    ) -> None:
        if len(representations) != len(vocabulary):
            raise ValueError(f"{len(representations)} representations, {len(vocabulary)} items")
        self.vocabulary = vocabulary
        self.num_recent = num_recent
        norms = np.linalg.norm(representations, axis=1, keepdims=True)
        self._unit_CD = (representations / np.maximum(norms, 1e-12)).astype(np.float32)

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """[B, num_items]; see `reaseq.evaluation.prequential.Scorer`."""
        codes_BL = pad_sequences(sequences, self.vocabulary, 100).codes
        return np.stack([self._score(codes) for codes in codes_BL])

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """The items most like the newest ones of the sequence, without those."""
        return best(self.name, self.score(sequence, np.zeros(1, np.int64))[0], num)

    def save(self, folder: Path) -> None:
        """Write `nearest.npz` into an existing folder."""
        np.savez(folder / FILE_NAME, unit=self._unit_CD, num_recent=self.num_recent)

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        """Read what `save` wrote with the same vocabulary."""
        with np.load(folder / FILE_NAME) as stored:
            return cls(vocabulary, stored["unit"], int(stored["num_recent"]))

    def most_like(self, vector_D: Float32s, item_ids: Sequence[str]) -> str:
        """Of some known items the one whose representation is most like a vector."""
        rows = self.vocabulary.encode(list(item_ids))
        rows = rows[rows > 0] - 1
        return self.vocabulary.item_ids[int(rows[np.argmax(self._unit_CD[rows] @ vector_D)])]

    def recent(self, sequence: pa.Table) -> Float32s:
        """Unit representations [R, D] of the newest distinct items of the one row of `sequence`."""
        codes = pad_sequences(sequence, self.vocabulary, 100).codes
        if not codes.size:
            return np.zeros((0, self._unit_CD.shape[1]), np.float32)
        return np.asarray(self._unit_CD[self._recent(codes[0])])

    def _recent(self, codes_L: Int64s) -> Int64s:
        """Rows of the newest distinct items, newest first."""
        newest_first = codes_L[codes_L > 0][::-1]
        distinct, first_seen = np.unique(newest_first, return_index=True)
        return np.asarray(distinct[np.argsort(first_seen)][: self.num_recent] - 1)

    def _score(self, codes_L: Int64s) -> Float32s:
        recent = self._recent(codes_L)
        if not len(recent):
            return np.zeros(len(self.vocabulary), np.float32)
        scores: Float32s = (self._unit_CD @ self._unit_CD[recent].T).max(axis=1)
        scores[recent] = 0.0
        return scores
