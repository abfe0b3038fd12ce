"""Training the ranker: softmax over the catalogue, with an order's items as its labels.

Plain torch in one process. A distributed worker passes its shard, its rank and a wrapper for the
model; everything else is the same code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from reaseq.ranker.batches import (
    TrainingData,
    epoch_batches,
    to_batch,
    training_data,
    trend_history,
)
from reaseq.ranker.model import RankerModel
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import ItemTrends, TrendHistory
from reaseq.sequences.padded import PaddedGenerated, PaddedSequences
from reaseq.training.device import device_of, on_device
from reaseq.types import DAY_MS, Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary

FitState = dict[str, Any]
"""All that is needed to go on after an epoch: `torch.save` it, give it to `fit` as `resume`."""


class EpochReport(NamedTuple):
    """What an epoch did; `loss` is the mean cross-entropy of a label in nats, on training rows."""

    epoch: int
    num_epochs: int
    loss: float
    num_steps: int
    num_orders: int
    duration_s: float


class Worker(NamedTuple):
    """This process among those that train together."""

    rank: int = 0
    num_steps: int | None = None
    """Steps an epoch, the same for all workers or they wait for each other for ever; None: as many
    as the data has batches."""
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model
    """For example `ray.train.torch.prepare_model`: must return a module with the same forward."""


def fit(
    rows: pa.Table,
    vocabulary: ItemVocabulary,
    text_vectors: Float32s,
    settings: RankerSettings,
    *,
    trends: TrendHistory | None = None,
    seed: int = 0,
    worker: Worker | None = None,
    resume: FitState | None = None,
    on_epoch: Callable[[EpochReport, FitState], None] | None = None,
) -> RankerModel:
    """Train on `rows` (see `batches.training_data`) and return the model, ready to score.

    `text_vectors` is [num_items, T] in the order of the vocabulary. `trends` must be given when
    `rows` is only a shard (`order_trends` over all rows makes it), else demand would be measured
    on the shard. The same rows, settings and seed give the same weights, whether in one go or
    resumed after any epoch. Raises ValueError when there is nothing to train on.
    """
    worker = worker or Worker()
    data = training_data(rows, vocabulary, settings)
    if not len(data):
        raise ValueError("no training row has a known label: give more events or a newer catalogue")
    if trends is None:
        trends = trend_history(data, ItemTrends(len(vocabulary), settings.trend_half_lives_days))
    torch.manual_seed(seed)
    model = RankerModel(text_by_code(text_vectors), settings)
    training = _Training(model, data, trends, settings, seed, worker, resume)
    for epoch in range(training.next_epoch, settings.num_epochs):
        report = training.epoch(epoch)
        if on_epoch:
            on_epoch(report, training.state())
    return model.eval()


def order_trends(
    rows: pa.Table, vocabulary: ItemVocabulary, settings: RankerSettings
) -> tuple[TrendHistory, ItemTrends]:
    """The trend features of each day of `rows`, and the trends as they stand at its end."""
    trends = ItemTrends(len(vocabulary), settings.trend_half_lives_days)
    shortest = settings.model_copy(update={"num_events": 1, "num_generated": 1})
    return trend_history(training_data(rows, vocabulary, shortest), trends), trends


def text_by_code(text_vectors: Float32s) -> Tensor:
    """[num_items + 1, T] with zeros for padding."""
    return torch.from_numpy(np.pad(text_vectors.astype(np.float32), ((1, 0), (0, 0))))


class _Training:
    """The loop's moving parts: model, optimiser, schedule, and the fixed weights of examples."""

    def __init__(
        self,
        model: RankerModel,
        data: TrainingData,
        trends: TrendHistory,
        settings: RankerSettings,
        seed: int,
        worker: Worker,
        resume: FitState | None,
    ) -> None:
        self.data, self.trends, self.settings = data, trends, settings
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
        self.weights_N = _example_weights(data, settings)
        self.log_inclusion_N = _log_inclusion(data, settings, model.id.num_embeddings)
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
        for rows in epoch_batches(self.data, self.settings.batch_size, self.num_steps, rng):
            batch_loss, batch_weight = self._step(rows, rng)
            loss, weight = loss + batch_loss, weight + batch_weight
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

    def _step(self, rows: Int64s, rng: np.random.Generator) -> tuple[float, float]:
        position, codes = self.data.labels(rows)
        drawn = rng.choice(self.model.id.num_embeddings - 1, self._num_negatives(), replace=False)
        candidates = np.union1d(codes, drawn + 1)
        times_ms = self.data.label_times_ms[rows]
        sequences = PaddedSequences(*(array[rows] for array in self.data.sequences))
        hidden = rng.random(len(rows)) < self.settings.generated_dropout
        generated = PaddedGenerated(
            np.where(hidden[:, None], 0, self.data.generated.codes[rows]),
            self.data.generated.probabilities[rows],
        )
        batch = to_batch(sequences, generated, times_ms, self.trends.at(times_ms // DAY_MS))
        logits_BC = self.wrapped(on_device(batch, self.device), self._tensor(candidates))
        columns = self._tensor(np.searchsorted(candidates, codes))
        log_inclusion_C = self._tensor(self.log_inclusion_N[candidates])
        weights = self._tensor(self.weights_N[rows][position])
        losses = label_losses(logits_BC, self._tensor(position), columns, log_inclusion_C)
        total = (weights * losses).sum()
        self.optimizer.zero_grad()
        torch.autograd.backward(total / self.settings.batch_size)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        return float(total.detach()), float(weights.sum())

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _num_negatives(self) -> int:
        return min(self.settings.num_negatives, self.model.id.num_embeddings - 1)


def label_losses(
    logits_BC: Tensor, position: Tensor, columns: Tensor, log_inclusion_C: Tensor
) -> Tensor:
    """The cross-entropy of each label under a softmax over the catalogue, from a sample of it.

        loss = log( sum_{c in sample} exp(logit_c) / inclusion_c ) - logit_label

    `inclusion_c` is the chance that c is in the sample, 1 for the labels of the row itself: the
    Horvitz-Thompson estimate of the sum over all items.
    """
    correction_BC = -log_inclusion_C.repeat(len(logits_BC), 1)
    correction_BC[position, columns] = 0.0
    normaliser_B = torch.logsumexp(logits_BC + correction_BC, dim=1)
    return normaliser_B[position] - logits_BC[position, columns]


def _learning_rate_at(progress: float) -> float:
    """Share of the learning rate: a linear warm-up over a tenth, then a cosine down to 0."""
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * min((progress - 0.1) / 0.9, 1.0)))


def _example_weights(data: TrainingData, settings: RankerSettings) -> Float32s:
    """The weight of a label by its order: newer counts more; the mean over orders sums to 1."""
    num_labels = np.diff(data.offsets)
    age_days = (data.label_times_ms.max() - data.label_times_ms) / DAY_MS
    by_age = np.exp2(-age_days / settings.example_half_life_days)
    weights = by_age * num_labels ** (settings.order_size_power - 1.0)
    return np.asarray(weights * len(data) / (weights * num_labels).sum(), np.float32)


def _log_inclusion(data: TrainingData, settings: RankerSettings, num_codes: int) -> Float32s:
    """log of the chance that an item is a batch's candidate: drawn, or a label of some order."""
    share = np.bincount(data.label_codes, minlength=num_codes) / len(data)
    drawn = min(1.0, settings.num_negatives / (num_codes - 1))
    missed = (1 - drawn) * (1 - np.minimum(share, 1.0)) ** settings.batch_size
    return np.asarray(np.log(np.maximum(1 - missed, 1e-9)), np.float32)
