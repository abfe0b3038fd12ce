"""Training rows as tensors: from Arrow columns to the batches that the model eats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from reaseq.errors import InputError
from reaseq.ranker.model import NUM_PROBABILITY_BUCKETS, Batch
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import ItemTrends, TrendHistory
from reaseq.sequences.buckets import recency_buckets
from reaseq.sequences.padded import (
    PaddedGenerated,
    PaddedSequences,
    pad_generated,
    pad_sequences,
)
from reaseq.training.batching import members
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary


class TrainingData(NamedTuple):
    """Orders and the sequences before them. Row i has the labels `offsets[i]:offsets[i + 1]`."""

    sequences: PaddedSequences
    generated: PaddedGenerated
    lengths: Int64s
    label_times_ms: Int64s
    label_codes: Int64s
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.lengths)

    def labels(self, rows: Int64s) -> tuple[Int64s, Int64s]:
        """The labels of `rows` as (position in `rows`, code), one pair per label."""
        found = members(self.offsets, rows)
        return found.position, self.label_codes[found.element]


def training_data(
    rows: pa.Table, vocabulary: ItemVocabulary, settings: RankerSettings
) -> TrainingData:
    """Training rows: SEQUENCE_SCHEMA as of before the label, `label_time_ms`, `label_item_ids`.

    Generated behaviours stand in columns of their own (`with_generated`), or there are none. Null
    lists (a user without history) count as empty; a row whose labels are all unknown is left out.
    Raises InputError when a sequence holds an event at or after its label.
    """
    sequences = pad_sequences(rows, vocabulary, settings.num_events)
    generated = pad_generated(rows, vocabulary, settings.num_generated)
    label_times_ms = rows["label_time_ms"].to_numpy()
    if (sequences.times_ms >= label_times_ms[:, None]).any():
        raise InputError("a training row's sequence reaches its label's time: join as of before")
    codes = vocabulary.encode(pc.list_flatten(rows["label_item_ids"]))
    parents = pc.list_parent_indices(rows["label_item_ids"]).to_numpy()[codes > 0]
    num_labels = np.bincount(parents, minlength=rows.num_rows)
    kept = num_labels > 0
    known = sequences.rows(kept)
    lengths = (known.codes > 0).argmax(axis=1)
    suggested = generated.rows(kept)
    lengths = np.where((known.codes > 0).any(axis=1), known.codes.shape[1] - lengths, 0)
    offsets = np.append(0, np.cumsum(num_labels[kept]))
    return TrainingData(known, suggested, lengths, label_times_ms[kept], codes[codes > 0], offsets)


def trend_history(data: TrainingData, trends: ItemTrends) -> TrendHistory:
    """The trend features of each day of `data`; afterwards `trends` stands at its end."""
    times_ms = np.repeat(data.label_times_ms, np.diff(data.offsets))
    return trends.follow(data.label_codes, times_ms)


def to_batch(
    sequences: PaddedSequences, generated: PaddedGenerated, at_ms_B: Int64s, trends_BKN: Float32s
) -> Batch:
    """Sequences as they look at `at_ms_B`; columns of nothing but padding are cut off."""
    codes, types, times_ms = sequences.trimmed()
    return Batch(
        torch.from_numpy(codes),
        torch.from_numpy(types),
        torch.from_numpy(recency_buckets(at_ms_B[:, None] - times_ms)),
        torch.from_numpy(trends_BKN),
        torch.from_numpy(generated.codes),
        probability_buckets(torch.from_numpy(generated.probabilities)),
    )


def probability_buckets(probabilities: Tensor) -> Tensor:
    """floor(-log2(probability)), at most NUM_PROBABILITY_BUCKETS - 1."""
    return (-torch.log2(probabilities)).clamp(0, NUM_PROBABILITY_BUCKETS - 1).floor().long()
