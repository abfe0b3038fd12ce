"""What can be set about the behaviour generator; travels inside every model folder."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from reaseq.types import Count, NotNegative, Positive, Share


class GeneratorSettings(BaseModel):
    """Shape of the model, course of its training and of the sampling, and when it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: Count = 128
    """D: width of an item representation; a multiple of `num_heads`."""
    num_layers: Count = 2
    num_heads: Count = 4
    num_events: Count = 32
    """L: only the newest events of a sequence are looked at."""
    num_generated: Count = 20
    """S: slots, the most behaviours that are generated for a user."""
    dropout: Share = 0.2

    num_epochs: Count = 3
    batch_size: Count = 64
    """Orders in a batch, of all workers together."""
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-2
    example_half_life_days: Positive = 120.0
    """An order this much older than the newest one counts half."""
    max_gradient_norm: Positive = 1.0

    num_denoising_steps: Count = 4
    """Times the model is asked until all slots are filled; at most `num_generated` of them help."""
    temperature: NotNegative = 0.0
    """0 fills the most probable items; 1 draws them as the model's probabilities say."""

    cutoff_days: NotNegative = 45.0
    """The generator learns from all but the newest days of the history, so what it generates for
    the orders of these days is as honest as what it generates online."""
    min_new_events: Count = 5
    """A user whose sequence gained this many events is generated for again."""
    timeout_s: Positive = 5.0
    """Longest wait for an answer of the generator."""
    max_batch_size: Count = 64
    """Sequences that are generated for together, at most."""
    batch_wait_timeout_s: NotNegative = 0.02
    """Longest wait for a batch to fill."""
