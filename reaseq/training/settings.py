"""What can be set about the course of any training; each model's settings add its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reaseq.settings.section import Section
from reaseq.types import Count, NotNegative, Positive


class FitSettings(Section):
    """The course of a training; travels inside every model folder."""

    num_epochs: Count = 3
    batch_size: Count = 32
    """Orders in a batch, of all workers together."""
    learning_rate: Positive = 2e-3
    """Reached after a tenth of the steps; see `reaseq.training.schedule`."""
    weight_decay: NotNegative = 1e-2
    max_gradient_norm: Positive = 1.0
    example_half_life_days: Positive = 120.0
    """An order this much older than the newest one counts half."""

    early_stopping_patience: Count | None = None
    """Epochs in a row without a better held-out metric after which training stops; the best
    epoch's weights are kept. None: all epochs, on all rows."""
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of rows, the newest ones, that early stopping keeps from training."""
