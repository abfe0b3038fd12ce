"""What can be set about a slate: how many candidates, how long it may be, room for new items."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reaseq.settings.section import Section
from reaseq.types import Count


class RecommenderSettings(Section):
    """Candidates, ranking and the places of a slate."""

    num_candidates: Count = 200
    """Items that each source proposes, at most."""
    max_k: Count = 100
    """Longest slate that can be asked for."""
    num_new_items: Annotated[int, Field(ge=0)] = 1
    """Places at the end of a slate kept for items that nobody has bought yet, if any fits. A slate
    of one item has no such place."""
    min_similarity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How like a recent item of the user (cosine) such an item must be."""
