"""The one training loop. A model brings an `Objective`; everything else is the same for all.

Features:
- AdamW, gradients clipped by their norm, a warm-up and a cosine (`schedule`)
- every epoch has random numbers of its own, made from seed, epoch and worker: so a training that is
  resumed after an epoch goes on to the very weights of one that never stopped
- several workers make the same steps, each on its part of the rows (`worker`)
- early stopping on a held-out metric, if asked for (`early_stopping`)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from reaseq.errors import InputError
from reaseq.training.batching import epoch_batches
from reaseq.training.early_stopping import EarlyStopping, Weights
from reaseq.training.schedule import warm_up_and_cosine
from reaseq.training.settings import FitSettings
from reaseq.training.worker import Worker
from reaseq.types import Int64s

FitState = dict[str, Any]
"""All that is needed to go on after an epoch: `torch.save` it, give it to `fit` as `resume`."""


class EpochReport(NamedTuple):
    """What an epoch did; `loss` is the weighted mean over its training rows."""

    epoch: int
    num_epochs: int
    loss: float
    num_steps: int
    num_rows: int
    duration_s: float
    held_out: float | None = None
    """The metric on rows that nothing was learnt from, if there are any; more is better."""


OnEpoch = Callable[[EpochReport, FitState], None]


class WeightedLoss(NamedTuple):
    """The loss of a batch: a sum over its examples, and what their weights add up to."""

    total: Tensor
    """A scalar with a gradient."""
    weight: float


class Objective(Protocol):
    """What a model learns from its rows."""

    @property
    def model(self) -> nn.Module:
        """The model to be trained, where it shall compute."""
        ...

    @property
    def lengths(self) -> Int64s:
        """The length of each row: rows of like length share a batch."""
        ...

    def loss(self, forward: nn.Module, rows: Int64s, rng: np.random.Generator) -> WeightedLoss:
        """The loss of some rows. `forward` is the model as several workers share it."""
        ...

    def held_out(self) -> float | None:
        """The metric on held-out rows, of the model in its evaluation mode; None without any."""
        ...


class Fit(Protocol):
    """A fit with all that it needs, so that it can travel to other processes."""

    def run(self, worker: Worker, resume: FitState | None, on_epoch: OnEpoch) -> nn.Module:
        """Fit on the worker's part of the rows; `resume` and `on_epoch` as in `train`."""
        ...


def train(
    objective: Objective,
    settings: FitSettings,
    *,
    seed: int = 0,
    worker: Worker | None = None,
    resume: FitState | None = None,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train the objective's model in place, and leave it in evaluation mode.

    The same rows, settings and seed give the same weights, whether in one go or resumed after any
    epoch. `on_epoch` gets the live state: write it out or copy it, for it goes on changing.
    """
    training = _Training(objective, settings, seed, worker or Worker(), resume)
    while not training.is_over:
        report = training.epoch()
        if on_epoch:
            on_epoch(report, training.state())
    training.finish()


def trained_weights(state: FitState) -> Weights:
    """The weights that a training came to: the best epoch's with early stopping, or the last's."""
    stopping = state.get("early_stopping")
    weights: Weights = stopping["weights"] if stopping else state["model"]
    return weights


class _Training:
    """The loop's moving parts: model, optimiser, schedule, early stopping."""

    def __init__(
        self,
        objective: Objective,
        settings: FitSettings,
        seed: int,
        worker: Worker,
        resume: FitState | None,
    ) -> None:
        self.objective, self.settings = objective, settings
        self.seed, self.worker = seed, worker
        num_batches = math.ceil(len(objective.lengths) / settings.batch_size)
        self.num_steps = worker.num_steps or num_batches
        self.model = objective.model
        self.wrapped = worker.wrap(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.98),
            fused=True,
        )
        total_steps = settings.num_epochs * self.num_steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warm_up_and_cosine(step / total_steps)
        )
        patience = settings.early_stopping_patience
        self.stopping = EarlyStopping(patience) if patience else None
        self.next_epoch = 0
        if resume is not None:
            self._resume(resume)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or further ones would not help."""
        stopped = self.stopping is not None and self.stopping.is_over
        return stopped or self.next_epoch >= self.settings.num_epochs

    def epoch(self) -> EpochReport:
        """Go over the data once, then look at what is held out."""
        started = time.perf_counter()
        epoch = self.next_epoch
        # Seeded by the epoch, not once: so resuming needs no state of a generator.
        rng = np.random.default_rng([self.seed, epoch, self.worker.rank.index])
        torch.manual_seed(int(rng.integers(2**31)))
        self.wrapped.train()
        loss = weight = 0.0
        num_rows = 0
        batch_size = self.settings.batch_size
        for rows in epoch_batches(self.objective.lengths, batch_size, self.num_steps, rng):
            batch_loss, batch_weight = self._step(rows, rng)
            loss, weight = loss + batch_loss, weight + batch_weight
            num_rows += len(rows)
        self.next_epoch = epoch + 1
        return EpochReport(
            epoch,
            self.settings.num_epochs,
            loss / max(weight, 1e-12),
            self.num_steps,
            num_rows,
            time.perf_counter() - started,
            self._held_out(),
        )

    def state(self) -> FitState:
        """All that is needed to go on from here."""
        stopping = {"early_stopping": self.stopping.state()} if self.stopping else {}
        return {
            "next_epoch": self.next_epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            **stopping,
        }

    def finish(self) -> None:
        """Leave the model with the weights that the training came to."""
        if self.stopping is not None and self.stopping.weights:
            self.model.load_state_dict(self.stopping.weights)
        self.model.eval()

    def _resume(self, state: FitState) -> None:
        self.next_epoch = state["next_epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.stopping is not None:
            self.stopping.resume(state["early_stopping"])

    def _step(self, rows: Int64s, rng: np.random.Generator) -> tuple[float, float]:
        total, weight = self.objective.loss(self.wrapped, rows, rng)
        self.optimizer.zero_grad()
        torch.autograd.backward(total / self.settings.batch_size)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        return float(total.detach()), weight

    def _held_out(self) -> float | None:
        self.model.eval()
        with torch.inference_mode():
            metric = self.objective.held_out()
        if metric is None:
            if self.stopping is not None:
                raise InputError(
                    "early stopping needs held-out rows: give some, or leave "
                    "early_stopping_patience unset"
                )
            return None
        # Workers that stopped at different epochs would wait for each other for ever.
        metric = self.worker.agree(metric)
        if self.stopping is not None:
            self.stopping.observe(metric, self.model.state_dict())
        return metric
