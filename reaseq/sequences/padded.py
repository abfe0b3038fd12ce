"""User sequences as padded arrays: the form in which everything that computes wants them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.schemas import GENERATED_ITEM_IDS, GENERATED_PROBABILITIES
from reaseq.types import Bools, Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary

EVENT_TYPE_CODES = {event_type.value: code for code, event_type in enumerate(EventType, start=1)}
"""0 is padding and any type that this version does not know."""

NUM_EVENT_TYPE_CODES = len(EVENT_TYPE_CODES) + 1


class PaddedSequences(NamedTuple):
    """B sequences of at most L events, oldest first, padded with 0 on the left.

    A known item has a code above 0; an unknown one has code 0 and so counts as padding.
    """

    codes: Int64s
    """[B, L] of the vocabulary."""
    types: Int64s
    """[B, L], values of EVENT_TYPE_CODES."""
    times_ms: Int64s
    """[B, L]; 0 where padded."""

    def rows(self, rows: Int64s | Bools | slice) -> PaddedSequences:
        """Some of the sequences."""
        return PaddedSequences(self.codes[rows], self.types[rows], self.times_ms[rows])

    def trimmed(self) -> PaddedSequences:
        """Without the columns on the left that hold nothing but padding, but for one.

        With one column left every weight of a model takes part in every step: workers that train
        together would otherwise wait for gradients that never come.
        """
        used = (self.codes > 0).any(axis=0)
        start = int(used.argmax()) if used.any() else max(used.size - 1, 0)
        return PaddedSequences(*(array[:, start:] for array in self))


class PaddedGenerated(NamedTuple):
    """B users' generated behaviours, most probable first, padded with 0 on the right."""

    codes: Int64s
    """[B, G] of the vocabulary."""
    probabilities: Float32s
    """[B, G]; 0 where padded."""

    def rows(self, rows: Int64s | Bools | slice) -> PaddedGenerated:
        """Some of the users."""
        return PaddedGenerated(self.codes[rows], self.probabilities[rows])


def pad_sequences(
    sequences: pa.Table, vocabulary: ItemVocabulary, num_events: int
) -> PaddedSequences:
    """The newest `num_events` of each row (SEQUENCE_SCHEMA); L is the longest row among them.

    A null list counts as empty: it is what a join gives for a user without history.
    """
    lengths = pc.fill_null(pc.list_value_length(sequences["item_ids"]), 0).to_numpy()
    lengths = lengths.astype(np.int64)
    codes = vocabulary.encode(pc.list_flatten(sequences["item_ids"]))
    types = _type_codes(pc.list_flatten(sequences["event_types"]))
    times_ms = pc.list_flatten(sequences["event_times_ms"]).to_numpy()
    width = int(min(num_events, lengths.max(initial=0)))
    row = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(lengths)
    column = np.arange(len(row)) - ends[row] + width
    kept = column >= 0
    return PaddedSequences(
        *(
            _scatter(values, row, column, kept, (len(lengths), width))
            for values in (codes, types, times_ms)
        )
    )


def pad_generated(rows: pa.Table, vocabulary: ItemVocabulary, num: int) -> PaddedGenerated:
    """The `num` most probable generated behaviours of each row; G is `num`.

    They stand in the columns that `reaseq.sequences.rows.with_generated` adds; without those nobody
    has any.
    """
    shape = (rows.num_rows, num)
    if GENERATED_ITEM_IDS not in rows.column_names:
        return PaddedGenerated(np.zeros(shape, np.int64), np.zeros(shape, np.float32))
    lists = rows[GENERATED_ITEM_IDS]
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    codes = vocabulary.encode(pc.list_flatten(lists))
    probabilities = pc.list_flatten(rows[GENERATED_PROBABILITIES]).to_numpy()
    row = np.repeat(np.arange(rows.num_rows), lengths)
    column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = column < num
    padded = np.zeros(shape, np.float32)
    padded[row[kept], column[kept]] = probabilities[kept]
    return PaddedGenerated(_scatter(codes, row, column, kept, shape), padded)


def _type_codes(event_types: pa.Array | pa.ChunkedArray) -> Int64s:
    names = pa.array(EVENT_TYPE_CODES, pa.string())
    positions = pc.fill_null(pc.index_in(event_types, value_set=names), -1)
    return np.asarray(positions.to_numpy(), np.int64) + 1


def _scatter(
    values: Int64s, row: Int64s, column: Int64s, kept: Bools, shape: tuple[int, int]
) -> Int64s:
    padded = np.zeros(shape, np.int64)
    padded[row[kept], column[kept]] = values[kept]
    return padded
