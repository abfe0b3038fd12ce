"""The behaviour generator's model: masked diffusion over the items of a set.

Features, in the order in which they stand below:
- an absorbing state: a slot holds an item or MASK, and once it holds an item it keeps it
- a clean prefix: the logged events are never masked, so the model learns completion
- an event = its item + what was done + its place counted from the newest + how long before the
  newest event it was. All of it is in the sequence: the same sequence gives the same answer
  whenever it is asked for, so an answer holds until the sequence changes
- slots are exchangeable: one slot embedding, no order. What comes is a set. All masked slots of a
  row therefore have the same distribution, and it is computed once a row
- a bidirectional transformer, normalised before each part: events and slots all see each other
- no embedding of the mask ratio: how many slots are masked says it already (MDLM, section 3)
- weights tied: the logit of an item is the product with its embedding, plus a bias. Neither MASK
  nor padding has a logit

In the line of MDLM (Sahoo et al., arXiv 2406.07524) and LLaDA (Nie et al., arXiv 2502.09992); that
the slots are a set is our choice.

Shape suffixes: B sequences, L events, S slots, T = L + S tokens, Q tokens that are answered, N
items, D hidden_size, H heads, E head hidden_size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from reaseq.generator.settings import GeneratorSettings
from reaseq.sequences.buckets import NUM_RECENCY_BUCKETS
from reaseq.sequences.padded import NUM_EVENT_TYPE_CODES


class Context(NamedTuple):
    """The logged events as tensors, padded on the left with code 0."""

    codes: Tensor
    """[B, L]; 0 is padding."""
    types: Tensor
    """[B, L]; see `padded.EVENT_TYPE_CODES`."""
    recency_buckets: Tensor
    """[B, L]; time up to the row's newest event, see `reaseq.sequences.buckets`."""


class DiffusionModel(nn.Module):
    """Logits [B, N]: which item a masked slot of each row holds."""

    def __init__(self, num_items: int, settings: GeneratorSettings) -> None:
        super().__init__()
        hidden_size = settings.hidden_size
        self.settings = settings
        self.num_items = num_items
        self.mask_code = num_items + 1
        self.item = _embedding(num_items + 2, hidden_size)
        self.bias = nn.Parameter(torch.zeros(num_items))
        self.event_type = _embedding(NUM_EVENT_TYPE_CODES, hidden_size)
        self.place = _embedding(settings.num_events, hidden_size)
        self.recency = _embedding(NUM_RECENCY_BUCKETS, hidden_size)
        self.slot = nn.Parameter(torch.zeros(hidden_size))
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(settings.dropout)
        self.layers = nn.ModuleList(
            Layer(hidden_size, settings.num_heads, settings.dropout)
            for _ in range(settings.num_layers)
        )
        self.last_norm = nn.LayerNorm(hidden_size)

    def forward(self, context: Context, slots_BS: Tensor) -> Tensor:
        """Logits [B, N] of the items 1..N for every masked slot of a row alike.

        A slot is the code of an item, `mask_code`, or 0 where there is none. The last slot of every
        row must be masked: it is the one that answers.
        """
        tokens_BTD = torch.cat([self._events(context), self.item(slots_BS) + self.slot], dim=1)
        tokens_BTD = self.dropout(self.norm(tokens_BTD))
        visible_BT = torch.cat([context.codes, slots_BS], dim=1) > 0
        for layer in self.layers[:-1]:
            tokens_BTD = layer(tokens_BTD, visible_BT, num_answers=tokens_BTD.shape[1])
        answer_B1D = self.layers[-1](tokens_BTD, visible_BT, num_answers=1)
        answer_BD = self.last_norm(answer_B1D.squeeze(1))
        logits_BN: Tensor = answer_BD @ self.item.weight[1 : self.mask_code].T + self.bias
        return logits_BN

    def _events(self, context: Context) -> Tensor:
        """The logged events as tokens [B, L, D]."""
        num_events = context.codes.shape[1]
        places_L = torch.arange(num_events - 1, -1, -1, device=context.codes.device)
        events_BLD: Tensor = (
            self.item(context.codes)
            + self.event_type(context.types)
            + self.place(places_L)
            + self.recency(context.recency_buckets)
        )
        return events_BLD


class Layer(nn.Module):
    """Attention over all visible tokens, then an MLP, both added to what was there."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.mlp_norm = nn.LayerNorm(hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size),
            nn.GELU(),
            nn.Linear(4 * hidden_size, hidden_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_BTD: Tensor, visible_BT: Tensor, num_answers: int) -> Tensor:
        """The last `num_answers` tokens anew: [B, Q, D]. The others are only looked at."""
        normed_BTD = self.attention_norm(tokens_BTD)
        query_BHQE = self._heads(self.query(normed_BTD[:, -num_answers:]))
        key_BTD, value_BTD = self.key_value(normed_BTD).chunk(2, dim=-1)
        attended_BHQE = scaled_dot_product_attention(
            query_BHQE,
            self._heads(key_BTD),
            self._heads(value_BTD),
            attn_mask=visible_BT[:, None, None, :],
        )
        attended_BQD = attended_BHQE.transpose(1, 2).flatten(2)
        answers_BQD: Tensor = tokens_BTD[:, -num_answers:] + self.dropout(self.out(attended_BQD))
        thought_BQD: Tensor = self.dropout(self.mlp(self.mlp_norm(answers_BQD)))
        return answers_BQD + thought_BQD

    def _heads(self, tokens_BTD: Tensor) -> Tensor:
        """[B, H, T, E]."""
        num_rows, length, hidden_size = tokens_BTD.shape
        shape = num_rows, length, self.num_heads, hidden_size // self.num_heads
        return tokens_BTD.view(shape).transpose(1, 2)


def _embedding(num: int, hidden_size: int) -> nn.Embedding:
    embedding = nn.Embedding(num, hidden_size)
    # The logits begin with a deviation of about 1: after the last norm a token has length sqrt(D).
    nn.init.normal_(embedding.weight, std=1 / math.sqrt(hidden_size))
    return embedding
