"""Training the behaviour generator: masked slots are to be filled in.

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
from reaseq.generator.batches import DiffusionData, diffusion_data, draw_masks
from reaseq.generator.model import DiffusionModel
from reaseq.generator.settings import GeneratorSettings
from reaseq.training.device import device_of, on_device
from reaseq.training.held_out import Ranked, held_out_ndcg
from reaseq.training.loop import FitState, OnEpoch, WeightedLoss, train
from reaseq.training.weights import weights_by_age
from reaseq.training.worker import Worker
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary


def fit(
    rows: pa.Table,
    vocabulary: ItemVocabulary,
    settings: GeneratorSettings,
    *,
    held_out: pa.Table | None = None,
    seed: int = 0,
    worker: Worker | None = None,
    resume: FitState | None = None,
    on_epoch: OnEpoch | None = None,
) -> DiffusionModel:
    """Train on `rows` (training rows passed through `targets.with_targets`) and return the model.

    The loss of a report is the mean cross-entropy of a masked slot in nats. `held_out` are newer
    such rows for early stopping, measured by the NDCG of their targets among `num_generated`. The
    same rows, settings and seed give the same weights, whether in one go or resumed after any
    epoch. Raises InputError when there is nothing to train on.
    """
    data = _with_targets(rows, vocabulary, settings)
    unseen = None if held_out is None else _with_targets(held_out, vocabulary, settings)
    torch.manual_seed(seed)
    model = DiffusionModel(len(vocabulary), settings)
    objective = GeneratorObjective(model, data, settings, unseen)
    train(objective, settings, seed=seed, worker=worker, resume=resume, on_epoch=on_epoch)
    return model


class GeneratorFit(NamedTuple):
    """A fit with all that it needs; see `reaseq.training.loop.Fit`. The rows are all workers'."""

    settings: GeneratorSettings
    rows: pa.Table
    """With their targets (`reaseq.generator.targets.with_targets`)."""
    item_ids: tuple[str, ...]
    seed: int = 0
    held_out: pa.Table | None = None

    def run(self, worker: Worker, resume: FitState | None, on_epoch: OnEpoch) -> DiffusionModel:
        """Fit on the worker's part of the rows."""
        rows, settings, worker = worker.share(self.rows, self.settings)
        return fit(
            rows,
            ItemVocabulary(self.item_ids),
            settings,
            held_out=self.held_out,
            seed=self.seed,
            worker=worker,
            resume=resume,
            on_epoch=on_epoch,
        )


class GeneratorObjective:
    """The masked targets of a row are to be filled in; see `reaseq.training.loop`."""

    def __init__(
        self,
        model: DiffusionModel,
        data: DiffusionData,
        settings: GeneratorSettings,
        unseen: DiffusionData | None = None,
    ) -> None:
        """`unseen` are the held-out rows."""
        self.model = model
        self.lengths = data.lengths
        self._data, self._settings, self._unseen = data, settings, unseen
        self._device = device_of(model)
        by_age = weights_by_age(data.label_times_ms, settings.example_half_life_days)
        self._weights_N: Float32s = np.asarray(by_age / by_age.mean(), np.float32)

    def loss(self, forward: nn.Module, rows: Int64s, rng: np.random.Generator) -> WeightedLoss:
        """The weighted sum of the rows' losses."""
        slots, masked = draw_masks(self._data.slots(rows, self._settings.num_generated, rng), rng)
        slots_BS, masked_BS = self._tensor(slots), self._tensor(masked)
        masked_slots_BS = slots_BS.masked_fill(masked_BS, self.model.mask_code)
        context = on_device(self._data.context(rows), self._device)
        losses_B = completion_losses(forward(context, masked_slots_BS), slots_BS, masked_BS)
        weights = self._weights_N[rows]
        return WeightedLoss((self._tensor(weights) * losses_B).sum(), float(weights.sum()))

    def held_out(self) -> float | None:
        """NDCG of the held-out targets, with all slots masked and no logged item to be had."""
        if self._unseen is None:
            return None
        unseen = self._unseen
        return held_out_ndcg(
            len(unseen), self._settings.num_generated, lambda rows: self._rank(unseen, rows)
        )

    def _rank(self, unseen: DiffusionData, rows: Int64s) -> Ranked:
        context = unseen.context(rows)
        shape = (len(rows), self._settings.num_generated)
        masked_BS = torch.full(shape, self.model.mask_code, device=self._device)
        scores = self.model(on_device(context, self._device), masked_BS).float().cpu()
        is_logged = torch.zeros(len(rows), self.model.num_items + 1, dtype=torch.bool)
        is_logged.scatter_(1, context.codes, True)
        scores = scores.masked_fill(is_logged[:, 1:], -torch.inf)
        position, codes = unseen.targets(rows)
        return scores.numpy(), position, codes - 1

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


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


def _with_targets(
    rows: pa.Table, vocabulary: ItemVocabulary, settings: GeneratorSettings
) -> DiffusionData:
    data = diffusion_data(rows, vocabulary, settings.num_events)
    if not len(data):
        raise InputError(
            "no training row has a known item beyond its log: give more events or a newer catalogue"
        )
    return data
