"""What can be set about the ranker; travels inside every model folder.

The defaults were chosen on October 2011 of Online Retail, trained on what came before it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reaseq.training.settings import FitSettings
from reaseq.types import Count, Positive, Share


class RankerSettings(FitSettings):
    """Shape of the model and course of its training."""

    hidden_size: Count = 64
    """D: width of an item representation."""
    num_heads: Count = 1
    """Heads of the target attention. The cost of training is nearly proportional to it."""
    head_size: Count = 32
    num_events: Count = 100
    """L: only the newest events of a sequence are looked at."""
    dropout: Share = 0.3
    """On the events of a sequence."""
    trend_half_lives_days: tuple[Positive, ...] = (3.0, 7.0, 30.0)
    """K: windows in which the demand for an item is measured. Empty: sequence only."""

    use_knowledge: bool = True
    """Let what agents say about an item join the text behind its representation."""
    use_generated: bool = True
    """Look at the generated sequence beside the logged one."""
    num_generated: Count = 20
    """G: only the most probable generated behaviours are looked at."""
    generated_dropout: Share = 0.2
    """Share of training rows whose generated behaviours are hidden, so that the model can do
    without them."""

    num_negatives: Count = 256
    """Items drawn uniformly for each batch, beside the batch's own labels."""
    order_size_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    """An order of n items weighs n to this power: 1 weighs items alike, 0 weighs orders alike."""
