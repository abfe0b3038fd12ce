"""Rows as tensors: the logged events as context, the targets as slots to be masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from reaseq.generator.model import Context
from reaseq.generator.targets import TARGETS_SCHEMA
from reaseq.ranker.batches import recency_buckets
from reaseq.sequences.padded import PaddedSequences, pad_sequences
from reaseq.types import Bools, Int64s
from reaseq.vocabulary import ItemVocabulary

_LENGTH_JITTER = 16
"""Batches mix lengths this far apart, so that an epoch does not always make the same ones."""


class DiffusionData(NamedTuple):
    """Sequences and their targets. Row i has the targets `offsets[i]:offsets[i + 1]`."""

    sequences: PaddedSequences
    lengths: Int64s
    label_times_ms: Int64s
    target_codes: Int64s
    target_orders: Int64s
    """Beside `target_codes`: how many orders later each is bought."""
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.lengths)

    def context(self, rows: Int64s) -> Context:
        """The logged events of `rows`."""
        return to_context(PaddedSequences(*(array[rows] for array in self.sequences)))

    def slots(self, rows: Int64s, num_slots: int, rng: np.random.Generator) -> Int64s:
        """At most `num_slots` targets of each of `rows`, as codes [B, S] with 0 after the last.

        Nearer orders come first; of an order that does not fit as a whole a part is drawn.
        """
        counts = self.offsets[rows + 1] - self.offsets[rows]
        position = np.repeat(np.arange(len(rows)), counts)
        column = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self.offsets[rows][position] + column
        drawn = np.lexsort((rng.random(len(places)), self.target_orders[places], position))
        kept = column < num_slots
        slots = np.zeros((len(rows), num_slots), np.int64)
        slots[position[kept], column[kept]] = self.target_codes[places[drawn]][kept]
        return slots


def diffusion_data(rows: pa.Table, vocabulary: ItemVocabulary, num_events: int) -> DiffusionData:
    """Rows of `targets.with_targets` as arrays; a row without a known target is left out.

    Raises ValueError when the targets are missing, or a sequence reaches its label's time.
    """
    if not set(TARGETS_SCHEMA.names) <= set(rows.column_names):
        raise ValueError("rows have no targets: pass all of them through with_targets() first")
    sequences = pad_sequences(rows, vocabulary, num_events)
    label_times_ms = rows["label_time_ms"].to_numpy()
    if (sequences.times_ms >= label_times_ms[:, None]).any():
        raise ValueError("a training row's sequence reaches its label's time: join as of before")
    codes = vocabulary.encode(pc.list_flatten(rows["target_item_ids"]))
    orders = pc.list_flatten(rows["target_orders"]).to_numpy()
    parents = pc.list_parent_indices(rows["target_item_ids"]).to_numpy()[codes > 0]
    num_targets = np.bincount(parents, minlength=rows.num_rows)
    kept = num_targets > 0
    known = PaddedSequences(*(array[kept] for array in sequences))
    return DiffusionData(
        known,
        (known.codes > 0).sum(axis=1),
        label_times_ms[kept],
        codes[codes > 0],
        orders[codes > 0],
        np.append(0, np.cumsum(num_targets[kept])),
    )


def to_context(sequences: PaddedSequences) -> Context:
    """Sequences as tensors; trailing columns of nothing but padding are cut off, but for one.

    With one column left every weight takes part in every step, also for users without history:
    workers that train together would otherwise wait for gradients that never come.
    """
    codes, types, times_ms = sequences
    if not codes.shape[1]:
        codes = types = times_ms = np.zeros((len(codes), 1), np.int64)
    used = (codes > 0).any(axis=0)
    start = int(used.argmax()) if used.any() else used.size - 1
    ages_ms = torch.from_numpy(times_ms[:, -1:] - times_ms)[:, start:]
    return Context(
        torch.from_numpy(codes[:, start:]),
        torch.from_numpy(types[:, start:]),
        recency_buckets(ages_ms),
    )


def draw_masks(slots_BS: Int64s, rng: np.random.Generator) -> tuple[Int64s, Bools]:
    """Slots with those to be masked last, and which these are: two arrays [B, S].

    A row of n targets has l ~ U{1..n} of them masked, whichever. Drawing l is the mask ratio
    t ~ U(0, 1] with l ~ Binomial(n, t) taken exactly: integrated over t with the weight 1/t, the
    chance of l is 1/l (LLaDA, equation 6), and the loss has no rare huge weights.
    """
    num_slots = slots_BS.shape[1]
    counts_B1 = (slots_BS > 0).sum(axis=1, keepdims=True)
    num_masked_B1 = 1 + np.floor(rng.random(counts_B1.shape) * counts_B1).astype(np.int64)
    # Slots without a target come first, then the others in any order.
    order = np.where(slots_BS > 0, rng.random(slots_BS.shape), -1.0).argsort(axis=1)
    masked_BS = np.arange(num_slots) >= num_slots - num_masked_B1
    return np.take_along_axis(slots_BS, order, axis=1), masked_BS


def epoch_batches(
    lengths: Int64s, batch_size: int, num_batches: int, rng: np.random.Generator
) -> Iterator[Int64s]:
    """`num_batches` arrays of row numbers, as `reaseq.ranker.batches.epoch_batches` makes them."""
    by_length = np.argsort(lengths + rng.uniform(0, _LENGTH_JITTER, len(lengths)))
    starts = np.arange(0, len(lengths), batch_size)
    for start in np.resize(rng.permutation(starts), num_batches):
        yield by_length[start : start + batch_size]
