"""Stopping when a held-out metric no longer rises, and keeping the best epoch's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from reaseq.errors import InputError
from reaseq.training.settings import FitSettings

Weights = dict[str, torch.Tensor]


class EarlyStopping:
    """Watches a metric of which more is better; `patience` epochs without a new best end it."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best: float | None = None
        self.weights: Weights = {}
        self._num_since_best = 0

    @property
    def is_over(self) -> bool:
        """Whether to train no further."""
        return self._num_since_best >= self.patience

    def observe(self, metric: float, weights: Weights) -> None:
        """After an epoch: keep a copy of the weights if they are the best so far."""
        if self.best is None or metric > self.best:
            self.best = metric
            self.weights = {name: value.detach().clone() for name, value in weights.items()}
            self._num_since_best = 0
        else:
            self._num_since_best += 1

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "best": self.best,
            "weights": self.weights,
            "num_since_best": self._num_since_best,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.best, self.weights = state["best"], state["weights"]
        self._num_since_best = state["num_since_best"]


def split_newest(rows: pa.Table, settings: FitSettings) -> tuple[pa.Table, pa.Table | None]:
    """Training rows as those to learn from and those held out, the newest by `label_time_ms`.

    Rows of one moment stay together, and there must be some. Without early stopping nothing is held
    out. Raises InputError when nothing would be left to learn from.
    """
    if settings.early_stopping_patience is None:
        return rows, None
    times_ms = rows["label_time_ms"].to_numpy()
    num_held_out = max(1, round(settings.held_out_share * len(times_ms)))
    is_newest = times_ms >= np.sort(times_ms)[-num_held_out]
    if is_newest.all():
        raise InputError(
            f"{len(times_ms)} training rows are too few to hold a share of "
            f"{settings.held_out_share:g} out: give more events, or leave early_stopping_patience "
            "unset"
        )
    return rows.filter(pa.array(~is_newest)), rows.filter(pa.array(is_newest))
