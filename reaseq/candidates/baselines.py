"""What a trained ranker has to beat: the scorers that only count, brought up to a moment."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.popularity import Popularity
from reaseq.vocabulary import ItemVocabulary


def baselines(item_ids: Sequence[str], history: pa.Table) -> dict[str, Popularity | CoOccurrence]:
    """Popularity and co-occurrence over `item_ids`, having observed `history` (EVENT_SCHEMA)."""
    vocabulary = ItemVocabulary(item_ids)
    scorers: dict[str, Popularity | CoOccurrence] = {
        "popularity": Popularity(vocabulary),
        "co_occurrence": CoOccurrence(vocabulary),
    }
    for scorer in scorers.values():
        scorer.observe(history)
    return scorers
