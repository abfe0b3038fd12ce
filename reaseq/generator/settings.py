"""What can be set about the behaviour generator; travels inside every model folder."""

from __future__ import annotations

from reaseq.training.settings import FitSettings
from reaseq.types import Count, NotNegative, Share


class GeneratorSettings(FitSettings):
    """Shape of the model, course of its training and of the sampling."""

    hidden_size: Count = 128
    """D: width of an item representation; a multiple of `num_heads`."""
    num_layers: Count = 2
    num_heads: Count = 4
    num_events: Count = 32
    """L: only the newest events of a sequence are looked at."""
    num_generated: Count = 20
    """S: slots, the most behaviours that are generated for a user."""
    dropout: Share = 0.2

    batch_size: Count = 64
    """Orders in a batch, of all workers together."""

    num_denoising_steps: Count = 4
    """Times the model is asked until all slots are filled; at most `num_generated` of them help."""
    temperature: NotNegative = 0.0
    """0 fills the most probable items; 1 draws them as the model's probabilities say."""
