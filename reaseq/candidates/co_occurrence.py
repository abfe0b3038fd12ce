"""What is bought together, and again: item-item counts over orders.

The strongest thing that needs no training. The diagonal of the counts is how often an item is
bought at all; weighted up, it says "this user buys this again", the strongest signal of a shop
whose customers restock.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from reaseq.candidates.source import Candidates, CandidateSource, best
from reaseq.event_clock import EventClock
from reaseq.events import EventType
from reaseq.sequences.orders import orders_of
from reaseq.sequences.padded import EVENT_TYPE_CODES, pad_sequences
from reaseq.types import DAY_MS, Float32s, Float64s, Int64s
from reaseq.vocabulary import ItemVocabulary

FILE_NAME = "co_occurrence.npz"

_SMALLEST_DECAY = 1e-3
"""Below it the decay is multiplied in, long before a number could leave the range of floats."""

_PURCHASE = EVENT_TYPE_CODES[EventType.PURCHASE.value]


class CoOccurrence(CandidateSource):
    """Decayed counts of item pairs in one order, and scores from a user's purchases.

        pairs(i, j) = sum over orders o with i, j: 2 ^ -((now - time(o)) / half_life)
        score(c)    = sum over purchases l: pairs(l, c) / (pairs(l, l) + shrinkage) ^ damping

    with `pairs(c, c)` counted `repeat_weight` times in the sum. `now` is the orders' own
    (`reaseq.event_clock`), and what is ahead of it counts as one of now, for good. The defaults
    were chosen on October 2011 of Online Retail.

    The counts are a short list of sparse matrices, each at least twice as large as the next (the
    logarithmic method), so applying an order is cheap and nothing dense in items x items exists.
    What is stored awaits a common factor, the decay since the last time that it was multiplied in.
    """

    name: ClassVar[str] = "bought_together"

    def __init__(
        self,
        vocabulary: ItemVocabulary,
        *,
        half_life_days: float = 14.0,
        repeat_weight: float = 8.0,
        shrinkage: float = 2.0,
        damping: float = 0.75,
        num_events: int = 100,
    ) -> None:
        if half_life_days <= 0 or shrinkage <= 0:
            raise ValueError("half_life_days and shrinkage must be positive")
        self.vocabulary = vocabulary
        self.half_life_days = half_life_days
        self.repeat_weight = repeat_weight
        self.shrinkage = shrinkage
        self.damping = damping
        self.num_events = num_events
        self._clock = EventClock()
        self._decay = 1.0
        self._counts = np.zeros(len(vocabulary) + 1)
        self._pieces: list[sparse.csr_array] = []

    def observe(self, events: pa.Table) -> None:
        """Count the orders in `events` (EVENT_SCHEMA). All events of an order come in one call."""
        orders = orders_of(events)
        if not orders.num_rows:
            return
        times_ms = orders["label_time_ms"].to_numpy()
        self._advance(times_ms)
        baskets = self._baskets(orders)
        weights = self._weight(self._clock.ages_ms(times_ms)) / self._decay
        weighted = sparse.csr_array(baskets.multiply(weights[:, None]))
        self._counts += np.asarray(weighted.sum(axis=0)).ravel()
        self._add(sparse.csr_array(baskets.T @ weighted))

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """[B, num_items]; see `reaseq.evaluation.prequential.Scorer`."""
        history = self._history(sequences)
        scores = np.zeros(history.shape)
        for piece in self._pieces:
            scores += (history @ piece).toarray()
        # The plain sum holds the diagonal once already.
        rows, codes = history.nonzero()
        scores[rows, codes] += (self.repeat_weight - 1) * history.data * self._counts[codes]
        return (scores[:, 1:] * self._decay).astype(np.float32)

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        """The items most often bought with those in the sequence, repeats included."""
        return best(self.name, self.score(sequence, np.zeros(1, np.int64))[0], num)

    def pairs(self) -> sparse.csr_array:
        """The decayed counts [num_items + 1, num_items + 1] by code, symmetric, as of now."""
        self._settle()
        self._pieces = [self._sum()]
        return self._pieces[0].copy()

    def save(self, folder: Path) -> None:
        """Write `co_occurrence.npz` into an existing folder."""
        pairs = self.pairs()
        settings = [self.half_life_days, self.repeat_weight, self.shrinkage, self.damping]
        np.savez(
            folder / FILE_NAME,
            data=pairs.data,
            indices=pairs.indices,
            indptr=pairs.indptr,
            counts=self._counts,
            settings=settings,
            num_events=self.num_events,
            clock=self._clock.state(),
        )

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        """Read what `save` wrote with the same vocabulary."""
        with np.load(folder / FILE_NAME) as stored:
            half_life, repeat_weight, shrinkage, damping = map(float, stored["settings"])
            loaded = cls(
                vocabulary,
                half_life_days=half_life,
                repeat_weight=repeat_weight,
                shrinkage=shrinkage,
                damping=damping,
                num_events=int(stored["num_events"]),
            )
            if len(stored["counts"]) != len(vocabulary) + 1:
                raise ValueError("the stored co-occurrence belongs to another vocabulary")
            loaded._counts = stored["counts"].copy()
            loaded._clock = EventClock.resume(stored["clock"])
            matrix = (stored["data"], stored["indices"], stored["indptr"])
            loaded._pieces = [sparse.csr_array(matrix, shape=loaded._shape)]
        return loaded

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._counts), len(self._counts)

    def _weight(self, age_ms: Int64s) -> Float64s:
        return np.asarray(np.exp2(-age_ms / (self.half_life_days * DAY_MS)))

    def _advance(self, times_ms: Int64s) -> None:
        """Let the counts refer to the moment that it is after orders of these times."""
        before_ms = self._clock.now_ms
        self._clock.observe(times_ms)
        if before_ms is not None:
            self._decay *= float(self._weight(self._clock.ages_ms(np.array([before_ms])))[0])
        if self._decay < _SMALLEST_DECAY:
            self._settle()

    def _settle(self) -> None:
        """Multiply the decay into the counts."""
        self._counts *= self._decay
        for piece in self._pieces:
            piece.data *= self._decay
        self._decay = 1.0

    def _baskets(self, orders: pa.Table) -> sparse.csr_array:
        """[num_orders, num_items + 1] of 0 and 1."""
        codes = self.vocabulary.encode(pc.list_flatten(orders["label_item_ids"]))
        rows = pc.list_parent_indices(orders["label_item_ids"]).to_numpy()[codes > 0]
        codes = codes[codes > 0]
        shape = (orders.num_rows, len(self._counts))
        return sparse.csr_array((np.ones(len(codes)), (rows, codes)), shape=shape)

    def _add(self, piece: sparse.csr_array) -> None:
        self._pieces.append(piece)
        while len(self._pieces) > 1 and self._pieces[-2].nnz < 2 * self._pieces[-1].nnz:
            newest = self._pieces.pop()
            self._pieces[-1] = self._pieces[-1] + newest

    def _sum(self) -> sparse.csr_array:
        total = sparse.csr_array(self._shape)
        for piece in self._pieces:
            total = total + piece
        return total

    def _history(self, sequences: pa.Table) -> sparse.csr_array:
        """How often each user bought each item, over the item's damped count: [B, num_items+1]."""
        padded = pad_sequences(sequences, self.vocabulary, self.num_events)
        bought = (padded.types == _PURCHASE) & (padded.codes > 0)
        rows, columns = np.nonzero(bought)
        codes = padded.codes[rows, columns]
        weights = (self._counts[codes] * self._decay + self.shrinkage) ** -self.damping
        shape = (sequences.num_rows, len(self._counts))
        history = sparse.csr_array((weights, (rows, codes)), shape=shape)
        history.sum_duplicates()
        return history
