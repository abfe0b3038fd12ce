"""A recommender that goes on learning after it was loaded, with event time as its clock.

The model was made from the past; what happened since (which items are in demand, what is bought
together) is learnt from the events themselves. The newest event seen says what "now" is, so a
replayed year behaves as it did when it was new.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import Scene, Slate


class LiveRecommender:
    """A `Recommender` and the time of the newest event that it has seen."""

    def __init__(self, recommender: Recommender, history: pa.Table) -> None:
        """Bring it up to date with the events (EVENT_SCHEMA) that came after its training."""
        self.recommender = recommender
        ranker = recommender.ranker
        known_ms = ranker.manifest.trained_up_to_ms if ranker else 0
        recommender.observe(history.filter(pc.greater(history["event_time_ms"], known_ms)))
        self.newest_event_ms = _newest_ms(history)

    def observe(self, events: pa.Table) -> None:
        """Learn from events as they come."""
        if events.num_rows:
            self.recommender.observe(events)
            self.newest_event_ms = max(self.newest_event_ms, _newest_ms(events))

    def recommend(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        """The slate just after the newest event; see `Recommender.recommend`."""
        at_ms = max(self.newest_event_ms, pc.max(sequence["newest_event_time_ms"]).as_py() or 0)
        return self.recommender.recommend(sequence, scene, k, at_ms + 1)


def _newest_ms(events: pa.Table) -> int:
    return pc.max(events["event_time_ms"]).as_py() or 0
