"""What everybody buys: the baseline that every ranker must beat, and the last fallback."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from reaseq.candidates.source import Candidates, CandidateSource, best
from reaseq.event_clock import EventClock
from reaseq.sequences.orders import purchases_of
from reaseq.types import DAY_MS, Float32s, Float64s, Int64s
from reaseq.vocabulary import ItemVocabulary

FILE_NAME = "popularity.npz"


class Popularity(CandidateSource):
    """Purchases per item, each worth half after `half_life_days` (None: all worth the same).

        count(c) = sum over purchases e of c: 2 ^ -((now - time(e)) / half_life)

    `now` is the purchases' own (`reaseq.event_clock`), and what is ahead of it counts as one of
    now, for good. Decay scales all items alike, so the ranking does not depend on the moment it is
    asked for. Events may come in any order and in any portions, which change no more than the
    weight of those that were ahead.
    """

    name: ClassVar[str] = "popular"

    def __init__(self, vocabulary: ItemVocabulary, half_life_days: float | None = 7.0) -> None:
        if half_life_days is not None and half_life_days <= 0:
            raise ValueError("half_life_days must be positive; None counts without decay")
        self.vocabulary = vocabulary
        self.half_life_days = half_life_days
        self._counts = np.zeros(len(vocabulary) + 1)
        self._clock = EventClock()

    def observe(self, events: pa.Table) -> None:
        """Count the purchases in `events` (EVENT_SCHEMA); unknown items are passed over."""
        purchases = purchases_of(events)
        if not purchases.num_rows:
            return
        codes = self.vocabulary.encode(purchases["item_id"])
        times_ms = purchases["event_time_ms"].to_numpy()
        before_ms = self._clock.now_ms
        self._clock.observe(times_ms)
        if before_ms is not None:
            self._counts *= self._weight(self._clock.ages_ms(np.array([before_ms])))
        weights = self._weight(self._clock.ages_ms(times_ms))
        self._counts += np.bincount(codes, weights, minlength=len(self._counts))
        self._counts[0] = 0.0

    def counts(self) -> Float64s:
        """The decayed count of each item, in the order of the vocabulary."""
        return self._counts[1:].copy()

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """The counts, the same for every row; see `reaseq.evaluation.prequential.Scorer`."""
        counts = self._counts[1:].astype(np.float32)
        return np.broadcast_to(counts, (sequences.num_rows, len(counts)))

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """The most popular items, whoever asks."""
        return self.top(num)

    def top(self, num: int) -> Candidates:
        """The `num` most popular items; fewer while fewer have been bought."""
        # Not yet as float32: to that, what was bought three years before the newest is nothing.
        return best(self.name, self._counts[1:], num)

    def save(self, folder: Path) -> None:
        """Write `popularity.npz` into an existing folder."""
        half_life = np.nan if self.half_life_days is None else self.half_life_days
        clock = self._clock.state()
        np.savez(folder / FILE_NAME, counts=self._counts, half_life_days=half_life, clock=clock)

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        """Read what `save` wrote with the same vocabulary."""
        with np.load(folder / FILE_NAME) as stored:
            half_life = float(stored["half_life_days"])
            loaded = cls(vocabulary, None if np.isnan(half_life) else half_life)
            if len(stored["counts"]) != len(loaded._counts):
                raise ValueError("the stored popularity belongs to another vocabulary")
            loaded._counts = stored["counts"].copy()
            loaded._clock = EventClock.resume(stored["clock"])
        return loaded

    def _weight(self, age_ms: Int64s) -> Float64s:
        if self.half_life_days is None:
            return np.ones(len(age_ms))
        return np.asarray(np.exp2(-age_ms / (self.half_life_days * DAY_MS)))
