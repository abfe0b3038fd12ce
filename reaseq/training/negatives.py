"""The softmax over a whole catalogue, estimated from a sample of its items."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reaseq.types import Float32s, Float64s, Int64s


def draw_candidates(
    labels: Int64s, num_items: int, num_negatives: int, rng: np.random.Generator
) -> Int64s:
    """The codes to be scored for a batch, ascending: its labels, and items drawn uniformly."""
    drawn = rng.choice(num_items, min(num_negatives, num_items), replace=False)
    return np.union1d(labels, drawn + 1)


def log_inclusion(label_share_N: Float64s, num_negatives: int, batch_size: int) -> Float32s:
    """[N + 1] by code: the log of the chance that an item is among the candidates of a batch.

    An item gets there by being drawn, or as a label of one of the batch's rows; `label_share_N` is
    the share of rows that have it as a label.

        inclusion = 1 - (1 - drawn) * (1 - share) ^ batch_size
    """
    drawn = min(1.0, num_negatives / (len(label_share_N) - 1))
    missed = (1 - drawn) * (1 - np.minimum(label_share_N, 1.0)) ** batch_size
    return np.asarray(np.log(np.maximum(1 - missed, 1e-9)), np.float32)


def sampled_softmax_losses(
    logits_BC: Tensor, position: Tensor, columns: Tensor, log_inclusion_C: Tensor
) -> Tensor:
    """The cross-entropy of each label under a softmax over the catalogue, from a sample of it.

        loss = log( sum_{c in sample} exp(logit_c) / inclusion_c ) - logit_label

    Label i is the candidate `columns[i]` of row `position[i]`. `inclusion_c` is the chance that c
    is in the sample, 1 for the labels of the row itself: the Horvitz-Thompson estimate of the sum
    over all items.
    """
    correction_BC = -log_inclusion_C.repeat(len(logits_BC), 1)
    correction_BC[position, columns] = 0.0
    normaliser_B = torch.logsumexp(logits_BC + correction_BC, dim=1)
    return normaliser_B[position] - logits_BC[position, columns]
