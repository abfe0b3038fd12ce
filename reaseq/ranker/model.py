"""The ranking model: target attention of every candidate over the user sequence.

Features, in the order in which they stand below:
- item representation = trained ID embedding + projection of the item's text vector
- an event = its item + what was done (event type) + how long ago (recency: log2 minutes)
- target attention: every candidate asks the sequence its own question. The answer is a number, not
  a vector: logit += sum_l softmax_l(score_bcl) * value_bcl, two matrix products a head, so no
  [B, C, D] tensor exists and the whole catalogue can be scored
- an attention sink: a slot of value 0, so a candidate may attend to nothing
- user vector: the sequence pooled twice with weights by event type and recency, an MLP, a dot
  product
- repeats: how often and how lately this very candidate is in the sequence
- the generated sequence: target attention and repeats of its own over the behaviours that a model
  generated, by probability instead of time; exactly 0 where nothing was generated
- trends: recent demand for the candidate, weighed by the user vector's own input
- item bias

In the line of DIN (Zhou et al., arXiv 1706.06978); the scalar value is our choice.

Shape suffixes: B sequences, L events, G generated behaviours, C candidates, N items + 1 (by code),
D hidden size, E head size, K trend windows.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from reaseq.ranker.settings import RankerSettings
from reaseq.sequences.buckets import NUM_RECENCY_BUCKETS
from reaseq.sequences.padded import NUM_EVENT_TYPE_CODES

NUM_PROBABILITY_BUCKETS = 12
"""Probabilities of generated behaviours in steps of a factor of 2, from 1 down to 1/2048."""

_NEVER = -1e4
"""A score that softmax turns into 0. Not -inf: a row of nothing but padding would become NaN."""

_NUM_POOLS = 2


class Batch(NamedTuple):
    """Sequences as tensors, padded on the left with code 0."""

    codes: Tensor
    """[B, L]; 0 is padding."""
    types: Tensor
    """[B, L]; see `padded.EVENT_TYPE_CODES`."""
    recency_buckets: Tensor
    """[B, L]; see `reaseq.sequences.buckets`."""
    trends: Tensor
    """[B, K, N] by code; see `reaseq.ranker.trends`."""
    generated: Tensor
    """[B, G] codes of generated behaviours; 0 is padding."""
    probability_buckets: Tensor
    """[B, G]; see `batches.probability_buckets`."""


class Queries(NamedTuple):
    """The queries of candidates in one head: which events to weigh, and what value they have."""

    query: Tensor
    """[C, E]"""
    value_query: Tensor
    """[C, E]"""

    def take(self, places_P: Tensor) -> Queries:
        """That of the candidates at the places, in their order."""
        return Queries(self.query[places_P], self.value_query[places_P])


class EncodedCandidates(NamedTuple):
    """Items to be scored, with all of it that does not depend on the sequence."""

    codes: Tensor
    """[C]"""
    items: Tensor
    """[C, D]"""
    queries: tuple[Queries, ...]
    """Of each head over the log."""
    generated_queries: Queries | None
    """Of the head over the generated sequence, if there is one."""

    def take(self, places_P: Tensor) -> EncodedCandidates:
        """Only those at the places, in their order."""
        return EncodedCandidates(
            self.codes[places_P],
            self.items[places_P],
            tuple(queries.take(places_P) for queries in self.queries),
            self.generated_queries and self.generated_queries.take(places_P),
        )


class RankerModel(nn.Module):
    """Logits [B, C] of candidates; softmax over the catalogue is the chance to be ordered next."""

    text: Tensor

    def __init__(self, text_NT: Tensor, settings: RankerSettings) -> None:
        """`text_NT` holds the text vector of each item by code; row 0 belongs to padding."""
        super().__init__()
        num_codes, hidden_size = len(text_NT), settings.hidden_size
        num_kinds = NUM_EVENT_TYPE_CODES * NUM_RECENCY_BUCKETS
        num_trends = len(settings.trend_half_lives_days)
        self.settings = settings
        self.register_buffer("text", text_NT, persistent=False)
        self.id = _embedding(num_codes, hidden_size, std=0.02)
        # A unit text vector spreads over T dimensions: its image is about 0.3 in each.
        self.text_projection = nn.Linear(text_NT.shape[1], hidden_size, bias=False)
        nn.init.normal_(self.text_projection.weight, std=0.3 / math.sqrt(hidden_size))
        self.bias = _embedding(num_codes, 1)
        self.event_type = _embedding(NUM_EVENT_TYPE_CODES, hidden_size, std=0.02)
        self.recency = _embedding(NUM_RECENCY_BUCKETS, hidden_size, std=0.02)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.ModuleList(
            TargetAttention(hidden_size, settings.head_size, num_kinds)
            for _ in range(settings.num_heads)
        )
        self.pool_score = _embedding(num_kinds, _NUM_POOLS)
        self.user = nn.Sequential(
            nn.Linear(_NUM_POOLS * hidden_size, 2 * hidden_size),
            nn.GELU(),
            nn.Linear(2 * hidden_size, hidden_size),
        )
        self.trend_weight = nn.Linear(_NUM_POOLS * hidden_size, num_trends) if num_trends else None
        self.repeats = Repeats(num_codes, num_kinds)
        self.generated = GeneratedAttention(settings, num_codes) if settings.use_generated else None

    def items(self, text_NT: Tensor | None = None) -> Tensor:
        """The representation of every item by code: [N, D]; `text_NT` in place of its own texts."""
        projected_ND: Tensor = self.text_projection(self.text if text_NT is None else text_NT)
        return self.id.weight + projected_ND

    def candidates(self, codes_C: Tensor, items_CD: Tensor) -> EncodedCandidates:
        """What can be computed of candidates before any sequence is known."""
        normed_CD = self.norm(items_CD)
        queries = tuple(cast(TargetAttention, h).queries(normed_CD) for h in self.heads)
        generated = self.generated.attention.queries(normed_CD) if self.generated else None
        return EncodedCandidates(codes_C, items_CD, queries, generated)

    def forward(self, batch: Batch, candidates_C: Tensor) -> Tensor:
        """Logits [B, C] of the candidates' codes."""
        items_CD, items_BLD, items_BGD = self._items_of(candidates_C, batch.codes, batch.generated)
        candidates = self.candidates(candidates_C, items_CD)
        logged_BC, generated_BC = self._terms(batch, candidates, items_BLD, items_BGD)
        return logged_BC if generated_BC is None else logged_BC + generated_BC

    def terms(
        self, batch: Batch, candidates: EncodedCandidates, items_ND: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """What log and generated sequence each add to the logits: [B, C] and [B, C] or None.

        `items_ND` is what `items` gave; the candidates are made of its rows.
        """
        return self._terms(batch, candidates, items_ND[batch.codes], items_ND[batch.generated])

    def _terms(
        self, batch: Batch, candidates: EncodedCandidates, items_BLD: Tensor, items_BGD: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        logged_BC = self._logged(batch, candidates, items_BLD)
        if self.generated is None:
            return logged_BC, None
        queries, behaviours_BGD = candidates.generated_queries, self.norm(items_BGD)
        return logged_BC, self.generated(batch, candidates.codes, queries, behaviours_BGD)

    def _logged(self, batch: Batch, candidates: EncodedCandidates, items_BLD: Tensor) -> Tensor:
        padding_BL = batch.codes == 0
        kinds_BL = batch.types * NUM_RECENCY_BUCKETS + batch.recency_buckets
        events_BLD = self.dropout(
            self.norm(items_BLD)
            + self.event_type(batch.types)
            + self.recency(batch.recency_buckets)
        )
        pooled_BP = self._pool(events_BLD, kinds_BL, padding_BL)

        codes_C = candidates.codes
        logits_BC: Tensor = (
            self.bias(codes_C).squeeze(-1) + self.user(pooled_BP) @ candidates.items.T
        )
        for head, queries in zip(self.heads, candidates.queries, strict=True):
            logits_BC = logits_BC + head(queries, events_BLD, kinds_BL, padding_BL)
        logits_BC = logits_BC + self.repeats(batch.codes, kinds_BL, codes_C)
        if self.trend_weight is not None:
            weights_BK = self.trend_weight(pooled_BP)
            logits_BC = logits_BC + torch.einsum(
                "bk,bkc->bc", weights_BK, batch.trends[:, :, codes_C]
            )
        return logits_BC

    def _items_of(self, *codes: Tensor) -> list[Tensor]:
        """Representations [..., D] of codes, computed only for the items that occur."""
        sizes = [part.numel() for part in codes]
        used_U, place = torch.unique(
            torch.cat([part.flatten() for part in codes]), return_inverse=True
        )
        items_UD = self.id(used_U) + self.text_projection(self.text[used_U])
        places = place.split(sizes)
        hidden_size = items_UD.shape[1]
        return [
            items_UD[at].view(*part.shape, hidden_size)
            for at, part in zip(places, codes, strict=True)
        ]

    def _pool(self, events_BLD: Tensor, kinds_BL: Tensor, padding_BL: Tensor) -> Tensor:
        """The sequence as a few weighted means of its events, side by side: [B, P]."""
        if not events_BLD.shape[1]:
            return events_BLD.new_zeros(len(events_BLD), _NUM_POOLS * events_BLD.shape[2])
        scores_BLP = self.pool_score(kinds_BL).masked_fill(padding_BL[..., None], _NEVER)
        weights_BLP = scores_BLP.softmax(dim=1) * ~padding_BL[..., None]
        return torch.einsum("bld,blp->bpd", events_BLD, weights_BLP).flatten(1)


class TargetAttention(nn.Module):
    """One head: a candidate weighs the events by score and adds up their values for it."""

    def __init__(self, hidden_size: int, head_size: int, num_kinds: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, head_size)
        self.key = nn.Linear(hidden_size, head_size)
        self.value_query = nn.Linear(hidden_size, head_size)
        self.value = nn.Linear(hidden_size, head_size)
        self.kind_score = _embedding(num_kinds, 1)
        self.sink = nn.Parameter(torch.zeros(()))
        self.scale = head_size**-0.5

    def queries(self, items_CD: Tensor) -> Queries:
        """The queries of normalised items."""
        return Queries(self.query(items_CD), self.value_query(items_CD))

    def forward(
        self, queries: Queries, events_BLD: Tensor, kinds_BL: Tensor, padding_BL: Tensor
    ) -> Tensor:
        """Logits [B, C]: sum_l softmax(score)_bcl value_bcl, the sink taking its share for 0."""
        query_CE, value_query_CE = queries
        key_BLE, value_BLE = self.key(events_BLD), self.value(events_BLD)
        prior_BL1 = self.kind_score(kinds_BL).masked_fill(padding_BL[..., None], _NEVER)
        score_BLC = (key_BLE * self.scale) @ query_CE.T + prior_BL1
        value_BLC = value_BLE @ value_query_CE.T
        sink_B1C = self.sink.expand(len(score_BLC), 1, score_BLC.shape[2])
        weight_BLC = torch.cat([score_BLC, sink_B1C], dim=1).softmax(dim=1)[:, :-1]
        logits_BC: Tensor = (weight_BLC * value_BLC).sum(dim=1)
        return logits_BC


class GeneratedAttention(nn.Module):
    """What the generated sequence says about each candidate."""

    def __init__(self, settings: RankerSettings, num_codes: int) -> None:
        super().__init__()
        hidden_size = settings.hidden_size
        self.probability = _embedding(NUM_PROBABILITY_BUCKETS, hidden_size, std=0.02)
        self.attention = TargetAttention(hidden_size, settings.head_size, NUM_PROBABILITY_BUCKETS)
        self.repeats = Repeats(num_codes, NUM_PROBABILITY_BUCKETS)

    def forward(
        self, batch: Batch, candidates_C: Tensor, queries: Queries, items_BGD: Tensor
    ) -> Tensor:
        """Logits [B, C] of the candidates whose queries these are; the items come normalised."""
        behaviours_BGD = items_BGD + self.probability(batch.probability_buckets)
        attended_BC = self.attention(
            queries, behaviours_BGD, batch.probability_buckets, batch.generated == 0
        )
        repeats_BC = self.repeats(batch.generated, batch.probability_buckets, candidates_C)
        logits_BC: Tensor = attended_BC + repeats_BC
        return logits_BC


class Repeats(nn.Module):
    """What it means that the candidate itself is in the sequence.

    amount = sum over its events: softplus(weight of (type, recency)) * (1 + weight of item)
    logit  = exp(a) * log(1 + amount) + b * [amount > 0]
    """

    def __init__(self, num_codes: int, num_kinds: int) -> None:
        super().__init__()
        self.kind_weight = _embedding(num_kinds, 1, mean=-1.0)
        self.item_weight = _embedding(num_codes, 1)
        self.log_slope = nn.Parameter(torch.zeros(()))
        self.step = nn.Parameter(torch.zeros(()))

    def forward(self, codes_BL: Tensor, kinds_BL: Tensor, candidates_C: Tensor) -> Tensor:
        """Logits [B, C]."""
        known_BL = codes_BL > 0
        amount_BL = softplus(self.kind_weight(kinds_BL)) * (1 + self.item_weight(codes_BL))
        amount_BL = amount_BL.squeeze(-1).clamp_min(0) * known_BL
        num_codes = self.item_weight.num_embeddings
        totals_BN = amount_BL.new_zeros(len(codes_BL), num_codes)
        totals_BC = totals_BN.scatter_add(1, codes_BL, amount_BL)[:, candidates_C]
        slope = self.log_slope.exp()
        logits_BC: Tensor = slope * torch.log1p(totals_BC) + self.step * (totals_BC > 0)
        return logits_BC


def _embedding(num: int, hidden_size: int, mean: float = 0.0, std: float = 0.0) -> nn.Embedding:
    embedding = nn.Embedding(num, hidden_size)
    nn.init.normal_(embedding.weight, mean, std)
    return embedding
