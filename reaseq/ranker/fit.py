"""Training the ranker: softmax over the catalogue, with an order's items as its labels.

Plain torch in one process. A distributed worker passes its rank and a wrapper for the model;
everything else is the same code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from reaseq.errors import InputError
from reaseq.ranker.batches import TrainingData, to_batch, training_data, trend_history
from reaseq.ranker.model import Batch, RankerModel
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import ItemTrends, TrendHistory
from reaseq.sequences.padded import PaddedGenerated
from reaseq.training.device import device_of, on_device
from reaseq.training.held_out import Ranked, held_out_ndcg
from reaseq.training.loop import FitState, OnEpoch, WeightedLoss, train
from reaseq.training.negatives import draw_candidates, log_inclusion, sampled_softmax_losses
from reaseq.training.weights import weights_by_age
from reaseq.training.worker import Worker
from reaseq.types import DAY_MS, Float32s, Float64s, Int64s
from reaseq.vocabulary import ItemVocabulary

_METRIC_K = 20


def fit(
    rows: pa.Table,
    vocabulary: ItemVocabulary,
    text_vectors: Float32s,
    settings: RankerSettings,
    *,
    trends: TrendHistory | None = None,
    held_out: pa.Table | None = None,
    seed: int = 0,
    worker: Worker | None = None,
    resume: FitState | None = None,
    on_epoch: OnEpoch | None = None,
) -> RankerModel:
    """Train on `rows` (see `batches.training_data`) and return the model, ready to score.

    `text_vectors` is [num_items, T] in the order of the vocabulary. `trends` must be given when
    `rows` is not all there is (`order_trends` over all rows makes it), else demand would be
    measured on a part. `held_out` are newer rows for early stopping, measured by NDCG@20. The loss
    of a report is the mean cross-entropy of a label in nats. The same rows, settings and seed give
    the same weights, whether in one go or resumed after any epoch. Raises InputError when there is
    nothing to train on.
    """
    data = _labelled(rows, vocabulary, settings)
    if trends is None:
        trends = trend_history(data, ItemTrends(len(vocabulary), settings.trend_half_lives_days))
    unseen = None if held_out is None else _labelled(held_out, vocabulary, settings)
    torch.manual_seed(seed)
    model = RankerModel(text_by_code(text_vectors), settings)
    objective = RankerObjective(model, data, trends, settings, unseen)
    train(objective, settings, seed=seed, worker=worker, resume=resume, on_epoch=on_epoch)
    return model


class RankerFit(NamedTuple):
    """A fit with all that it needs; see `reaseq.training.loop.Fit`. The rows are all workers'."""

    settings: RankerSettings
    rows: pa.Table
    item_ids: tuple[str, ...]
    text_vectors: Float32s
    """[num_items, T] in the order of `item_ids`."""
    trends: TrendHistory
    """Over all rows."""
    seed: int = 0
    held_out: pa.Table | None = None

    def run(self, worker: Worker, resume: FitState | None, on_epoch: OnEpoch) -> RankerModel:
        """Fit on the worker's part of the rows."""
        rows, settings, worker = worker.share(self.rows, self.settings)
        return fit(
            rows,
            ItemVocabulary(self.item_ids),
            np.array(self.text_vectors),
            settings,
            trends=self.trends,
            held_out=self.held_out,
            seed=self.seed,
            worker=worker,
            resume=resume,
            on_epoch=on_epoch,
        )


class RankerObjective:
    """The labels of an order are to be what is ordered next; see `reaseq.training.loop`."""

    def __init__(
        self,
        model: RankerModel,
        data: TrainingData,
        trends: TrendHistory,
        settings: RankerSettings,
        unseen: TrainingData | None = None,
    ) -> None:
        """`unseen` are the held-out orders; `trends` covers their days too, or the last day's."""
        self.model = model
        self.lengths = data.lengths
        self._data, self._trends, self._settings, self._unseen = data, trends, settings, unseen
        self._num_items = model.id.num_embeddings - 1
        self._device = device_of(model)
        self._weights_N = _label_weights(data, settings)
        share_N = np.bincount(data.label_codes, minlength=self._num_items + 1) / len(data)
        self._log_inclusion_N = log_inclusion(share_N, settings.num_negatives, settings.batch_size)

    def loss(self, forward: nn.Module, rows: Int64s, rng: np.random.Generator) -> WeightedLoss:
        """The cross-entropy of the rows' labels, weighted."""
        position, codes = self._data.labels(rows)
        num_negatives = self._settings.num_negatives
        candidates = draw_candidates(codes, self._num_items, num_negatives, rng)
        hidden = rng.random(len(rows)) < self._settings.generated_dropout
        logits_BC = forward(self._batch(self._data, rows, hidden), self._tensor(candidates))
        columns = self._tensor(np.searchsorted(candidates, codes))
        log_inclusion_C = self._tensor(self._log_inclusion_N[candidates])
        weights = self._tensor(self._weights_N[rows][position])
        losses = sampled_softmax_losses(logits_BC, self._tensor(position), columns, log_inclusion_C)
        return WeightedLoss((weights * losses).sum(), float(weights.sum()))

    def held_out(self) -> float | None:
        """NDCG@20 of the held-out orders over all items."""
        if self._unseen is None:
            return None
        unseen = self._unseen
        return held_out_ndcg(len(unseen), _METRIC_K, lambda rows: self._rank(unseen, rows))

    def _rank(self, unseen: TrainingData, rows: Int64s) -> Ranked:
        everything = torch.arange(1, self._num_items + 1, device=self._device)
        shown = np.zeros(len(rows), np.bool_)
        logits_BN = self.model(self._batch(unseen, rows, shown), everything)
        position, codes = unseen.labels(rows)
        return logits_BN.cpu().numpy(), position, codes - 1

    def _batch(self, data: TrainingData, rows: Int64s, hidden: npt.NDArray[np.bool_]) -> Batch:
        """Some rows as of their orders, the generated behaviours of the `hidden` ones left out."""
        times_ms = data.label_times_ms[rows]
        generated = PaddedGenerated(
            np.where(hidden[:, None], 0, data.generated.codes[rows]),
            data.generated.probabilities[rows],
        )
        trends_BKN = self._trends.at(times_ms // DAY_MS)
        batch = to_batch(data.sequences.rows(rows), generated, times_ms, trends_BKN)
        return on_device(batch, self._device)

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


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


def _labelled(rows: pa.Table, vocabulary: ItemVocabulary, settings: RankerSettings) -> TrainingData:
    data = training_data(rows, vocabulary, settings)
    if not len(data):
        raise InputError("no training row has a known label: give more events or a newer catalogue")
    return data


def _label_weights(data: TrainingData, settings: RankerSettings) -> Float32s:
    """The weight of a label by its order: newer counts more; the mean over orders sums to 1."""
    num_labels = np.diff(data.offsets)
    by_age: Float64s = weights_by_age(data.label_times_ms, settings.example_half_life_days)
    weights = by_age * num_labels ** (settings.order_size_power - 1.0)
    return np.asarray(weights * len(data) / (weights * num_labels).sum(), np.float32)
