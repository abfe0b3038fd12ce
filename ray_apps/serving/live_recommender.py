"""A recommender that goes on learning after it was loaded, with event time as its clock.

The model was made from the past; what happened since (which items are in demand, what is bought
together) is learnt from the events themselves. They also say what "now" is
(`reaseq.event_clock`), so a replayed year behaves as it did when it was new. What comes again
teaches nothing: a purchase counts once, whether a client repeats it or a whole topic is replayed.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.event_clock import clock_of
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import Scene, Slate
from reaseq.sequences.orders import purchases_of
from reaseq.sequences.seen import SeenEvents
from reaseq.types import DAY_MS

HORIZON_MS = 180 * DAY_MS
"""What lies further back teaches nothing, for it would count next to nothing, and so need not be
remembered as seen."""


class LiveRecommender:
    """A `Recommender` and the clock of the events that it has seen."""

    def __init__(self, recommender: Recommender, history: pa.Table) -> None:
        """Bring it up to date with the events (EVENT_SCHEMA) that came after its training."""
        self.recommender = recommender
        ranker = recommender.ranker
        known_ms = ranker.manifest.trained_up_to_ms if ranker else 0
        recommender.observe(history.filter(pc.greater(history["event_time_ms"], known_ms)))
        self.clock = clock_of(history["event_time_ms"].to_numpy())
        self._seen = SeenEvents()
        self._new_purchases(history)

    def observe(self, events: pa.Table) -> None:
        """Learn from events as they come, from each purchase once."""
        if events.num_rows:
            self.clock.observe(events["event_time_ms"].to_numpy())
            self.recommender.observe(self._new_purchases(events))

    def _new_purchases(self, events: pa.Table) -> pa.Table:
        """The purchases that were not seen before and are not too long ago."""
        purchases = purchases_of(events)
        first_ms = (self.clock.now_ms or 0) - HORIZON_MS
        purchases = purchases.filter(pc.greater_equal(purchases["event_time_ms"], first_ms))
        self._seen.forget_before(first_ms)
        return purchases.filter(pa.array(self._seen.are_new(purchases)))

    def recommend(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        """The slate just after now; see `Recommender.recommend`.

        What a user did after that has no age yet. Before the first event the user's own newest one
        says what time it is.
        """
        at_ms = self.clock.now_ms
        if at_ms is None:
            at_ms = pc.max(sequence["newest_event_time_ms"]).as_py() or 0
        return self.recommender.recommend(sequence, scene, k, at_ms + 1)
