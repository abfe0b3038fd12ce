"""Training the behaviour generator: masked slots are to be filled in.

Plain torch in one process. A distributed worker passes its shard, its rank and a wrapper for the
model; everything else is the same code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from reaseq.generator.batches import DiffusionData, diffusion_data, draw_masks, epoch_batches
from reaseq.generator.model import DiffusionModel
from reaseq.generator.settings import GeneratorSettings
from reaseq.ranker.fit import EpochReport, FitState, Worker
from reaseq.training.device import device_of, on_device
from reaseq.types import DAY_MS, Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary


def fit(
    rows: pa.Table,
    vocabulary: ItemVocabulary,
    settings: GeneratorSettings,
    *,
    seed: int = 0,
    worker: Worker | None = None,
    resume: FitState | None = None,
    on_epoch: Callable[[EpochReport, FitState], None] | None = None,
) -> DiffusionModel:
    """Train on `rows` (training rows passed through `targets.with_targets`) and return the model.

    The loss of a report is the mean cross-entropy of a masked slot in nats, on training rows. The
    same rows, settings and seed give the same weights, whether in one go or resumed after any
    epoch. Raises ValueError when there is nothing to train on.
    """
    data = diffusion_data(rows, vocabulary, settings.num_events)
    if not len(data):
        raise ValueError(
            "no training row has a known item beyond its log: give more events or a newer catalogue"
        )
    torch.manual_seed(seed)
    model = DiffusionModel(len(vocabulary), settings)
    training = _Training(model, data, settings, seed, worker or Worker(), resume)
    for epoch in range(training.next_epoch, settings.num_epochs):
        report = training.epoch(epoch)
        if on_epoch:
            on_epoch(report, training.state())
    return model.eval()


class _Training:
    """The loop's moving parts: model, optimiser, schedule, and the fixed weights of rows."""

    def __init__(
        self,
        model: DiffusionModel,
        data: DiffusionData,
        settings: GeneratorSettings,
        seed: int,
        worker: Worker,
        resume: FitState | None,
    ) -> None:
        self.data, self.settings = data, settings
        self.seed, self.rank = seed, worker.rank
        self.num_steps = worker.num_steps or math.ceil(len(data) / settings.batch_size)
        self.model = model
        self.wrapped = worker.wrap(model)
        self.device = device_of(model)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.98),
            fused=True,
        )
        total_steps = settings.num_epochs * self.num_steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _learning_rate_at(step / total_steps)
        )
        self.next_epoch = 0
        self.weights_N = _row_weights(data.label_times_ms, settings)
        if resume is not None:
            self._resume(resume)

    def epoch(self, epoch: int) -> EpochReport:
        """Go over the data once."""
        started = time.perf_counter()
        # Seeded by the epoch, not once: so resuming needs no state of a generator.
        rng = np.random.default_rng([self.seed, epoch, self.rank])
        torch.manual_seed(int(rng.integers(2**31)))
        self.wrapped.train()
        loss = weight = 0.0
        num_orders = 0
        for rows in epoch_batches(self.data.lengths, self.settings.batch_size, self.num_steps, rng):
            loss += self._step(rows, rng)
            weight += float(self.weights_N[rows].sum())
            num_orders += len(rows)
        self.next_epoch = epoch + 1
        took_s = time.perf_counter() - started
        mean = loss / max(weight, 1e-12)
        return EpochReport(
            epoch, self.settings.num_epochs, mean, self.num_steps, num_orders, took_s
        )

    def state(self) -> FitState:
        return {
            "next_epoch": self.next_epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def _resume(self, state: FitState) -> None:
        self.next_epoch = state["next_epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def _step(self, rows: Int64s, rng: np.random.Generator) -> float:
        """One step of the optimiser; returns the weighted sum of the rows' losses."""
        slots, masked = draw_masks(self.data.slots(rows, self.settings.num_generated, rng), rng)
        slots_BS, masked_BS = self._tensor(slots), self._tensor(masked)
        masked_slots_BS = slots_BS.masked_fill(masked_BS, self.model.mask_code)
        logits_BN = self.wrapped(on_device(self.data.context(rows), self.device), masked_slots_BS)
        losses_B = completion_losses(logits_BN, slots_BS, masked_BS)
        total = (self._tensor(self.weights_N[rows]) * losses_B).sum()
        self.optimizer.zero_grad()
        torch.autograd.backward(total / self.settings.batch_size)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        return float(total.detach())

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def completion_losses(logits_BN: Tensor, slots_BS: Tensor, masked_BS: Tensor) -> Tensor:
    """[B]: the cross-entropy of each row's masked slots, weighted for the mask ratio.

        loss = 1/n * sum over masked slots s: n/l * -log softmax(logits)_{slot s} = mean of -log p

    where l of n targets are masked: LLaDA's bound on a target's negative log-likelihood
    (equation 6). All masked slots of a row share its logits; the best these can do is to be uniform
    over the items that are masked.
    """
    targets_BS = (slots_BS - 1).clamp_min(0)
    log_p_BS = logits_BN.float().log_softmax(dim=1).gather(1, targets_BS)
    return -(log_p_BS * masked_BS).sum(dim=1) / masked_BS.sum(dim=1)


def _learning_rate_at(progress: float) -> float:
    """Share of the learning rate: a linear warm-up over a tenth, then a cosine down to 0."""
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * min((progress - 0.1) / 0.9, 1.0)))


def _row_weights(times_ms: Int64s, settings: GeneratorSettings) -> Float32s:
    """The weight of a row by the age of its order; the mean is 1."""
    age_days = (times_ms.max() - times_ms) / DAY_MS
    by_age = np.exp2(-age_days / settings.example_half_life_days)
    return np.asarray(by_age / by_age.mean(), np.float32)
