"""Sampling: slots that are all masked become generated behaviours in a few denoising steps.

Features:
- every step asks the model once and fills its share of the slots, the most confident items first
- an item of the catalogue at every fill, never one that the whole sequence holds (not only the
  events the model looks at), never one twice
- a fill keeps the model's probability at that moment, over the items that were allowed
- temperature 0 is greedy. Above it Gumbel noise draws without replacement (Kool et al., arXiv
  1903.06059), from a generator of the row's own, so it does not matter which rows share a batch

Shape suffixes as in `reaseq.generator.model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reaseq.generator.model import Context, DiffusionModel
from reaseq.types import Int64s


class Filled(NamedTuple):
    """What the slots hold in the end, most probable first. Code 0: no item was left for it."""

    codes: Tensor
    """[B, S], or [B, N] where the catalogue has fewer items than there are slots."""
    probabilities: Tensor
    """As `codes`; 0 where there is no item."""


def sample(
    model: DiffusionModel,
    context: Context,
    logged: Int64s,
    seeds: Sequence[Sequence[int]],
    *,
    num_steps: int,
    temperature: float,
) -> Filled:
    """Fill the model's S slots for each of B rows.

    `logged` [B, any] holds the codes that must not come, 0 counts for nothing; `seeds` has a few
    numbers for each row from which its noise is made.
    """
    num_rows, device = len(context.codes), context.codes.device
    num_slots = min(model.settings.num_generated, model.num_items)
    slots_BS = torch.full((num_rows, num_slots), model.mask_code, device=device)
    probabilities_BS = torch.zeros(num_rows, num_slots, device=device)
    allowed_BN = _allowed(model.num_items, torch.from_numpy(logged).to(device))
    noises = [np.random.default_rng(list(seed)) for seed in seeds]
    for start, end in _shares(num_slots, num_steps):
        logits_BN = model(context, slots_BS).masked_fill(~allowed_BN, -torch.inf)
        p_BN = logits_BN.softmax(dim=1)
        chosen_BK = _choose(logits_BN, end - start, temperature, noises)
        left_BK = allowed_BN.gather(1, chosen_BK)
        slots_BS[:, start:end] = (chosen_BK + 1) * left_BK
        probabilities_BS[:, start:end] = p_BN.gather(1, chosen_BK).where(left_BK, 0.0)
        allowed_BN.scatter_(1, chosen_BK, False)
    order_BS = probabilities_BS.argsort(dim=1, descending=True, stable=True)
    return Filled(slots_BS.gather(1, order_BS), probabilities_BS.gather(1, order_BS))


def _allowed(num_items: int, logged: Tensor) -> Tensor:
    """[B, N]: the items that a row does not hold yet."""
    allowed = torch.ones(len(logged), num_items + 1, dtype=torch.bool, device=logged.device)
    return allowed.scatter_(1, logged, False)[:, 1:]


def _shares(num_slots: int, num_steps: int) -> list[tuple[int, int]]:
    """The slots that each step fills: as even as can be, never none."""
    ends = np.unique(np.linspace(0, num_slots, num_steps + 1).round().astype(int)).tolist()
    return list(pairwise(ends))


def _choose(
    logits_BN: Tensor, num: int, temperature: float, noises: list[np.random.Generator]
) -> Tensor:
    """[B, K]: the items for the next `num` slots, numbered from 0."""
    if temperature > 0 and noises:
        gumbel = np.stack([noise.gumbel(size=logits_BN.shape[1]) for noise in noises])
        logits_BN = logits_BN / temperature + torch.from_numpy(gumbel).to(logits_BN.device)
    return logits_BN.topk(num, dim=1).indices
