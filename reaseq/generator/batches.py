"""Rows as tensors: the logged events as context, the targets as slots to be masked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from reaseq.errors import InputError
from reaseq.generator.model import Context
from reaseq.generator.targets import TARGETS_SCHEMA
from reaseq.sequences.buckets import recency_buckets
from reaseq.sequences.padded import PaddedSequences, pad_sequences
from reaseq.training.batching import members
from reaseq.types import Bools, Int64s
from reaseq.vocabulary import ItemVocabulary


class DiffusionData(NamedTuple):
    """Sequences and their targets. Row i has the targets `offsets[i]:offsets[i + 1]`."""

    sequences: PaddedSequences
    lengths: Int64s
    label_times_ms: Int64s
    target_codes: Int64s
    target_orders: Int64s
    """For each of `target_codes`: how many orders later each is bought."""
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.lengths)

    def context(self, rows: Int64s) -> Context:
        """The logged events of `rows`."""
        return to_context(self.sequences.rows(rows))

    def targets(self, rows: Int64s) -> tuple[Int64s, Int64s]:
        """The targets of `rows` as (position in `rows`, code), one pair per target."""
        found = members(self.offsets, rows)
        return found.position, self.target_codes[found.element]

    def slots(self, rows: Int64s, num_slots: int, rng: np.random.Generator) -> Int64s:
        """At most `num_slots` targets of each of `rows`, as codes [B, S] with 0 after the last.

        Nearer orders come first; of an order that does not fit as a whole a part is drawn.
        """
        position, column, element = members(self.offsets, rows)
        drawn = np.lexsort((rng.random(len(element)), self.target_orders[element], position))
        kept = column < num_slots
        slots = np.zeros((len(rows), num_slots), np.int64)
        slots[position[kept], column[kept]] = self.target_codes[element[drawn]][kept]
        return slots


def diffusion_data(rows: pa.Table, vocabulary: ItemVocabulary, num_events: int) -> DiffusionData:
    """Rows of `targets.with_targets` as arrays; a row without a known target is left out.

    Raises InputError when the targets are missing, or a sequence reaches its label's time.
    """
    if not set(TARGETS_SCHEMA.names) <= set(rows.column_names):
        raise InputError("rows have no targets: pass all of them through with_targets() first")
    sequences = pad_sequences(rows, vocabulary, num_events)
    label_times_ms = rows["label_time_ms"].to_numpy()
    if (sequences.times_ms >= label_times_ms[:, None]).any():
        raise InputError("a training row's sequence reaches its label's time: join as of before")
    codes = vocabulary.encode(pc.list_flatten(rows["target_item_ids"]))
    orders = pc.list_flatten(rows["target_orders"]).to_numpy()
    parents = pc.list_parent_indices(rows["target_item_ids"]).to_numpy()[codes > 0]
    num_targets = np.bincount(parents, minlength=rows.num_rows)
    kept = num_targets > 0
    known = sequences.rows(kept)
    return DiffusionData(
        known,
        (known.codes > 0).sum(axis=1),
        label_times_ms[kept],
        codes[codes > 0],
        orders[codes > 0],
        np.append(0, np.cumsum(num_targets[kept])),
    )


def to_context(sequences: PaddedSequences) -> Context:
    """Sequences as tensors; columns of nothing but padding are cut off, but for one."""
    if not sequences.codes.shape[1]:
        sequences = PaddedSequences(*[np.zeros((len(sequences.codes), 1), np.int64)] * 3)
    codes, types, times_ms = sequences.trimmed()
    return Context(
        torch.from_numpy(codes),
        torch.from_numpy(types),
        torch.from_numpy(recency_buckets(times_ms[:, -1:] - times_ms)),
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
