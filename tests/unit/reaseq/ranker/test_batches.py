"""`reaseq.ranker.batches`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from reaseq.ranker.batches import (
    probability_buckets,
    to_batch,
    training_data,
)
from reaseq.ranker.model import NUM_PROBABILITY_BUCKETS
from reaseq.ranker.settings import RankerSettings
from reaseq.sequences.padded import PaddedGenerated, pad_generated, pad_sequences
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c"])
SETTINGS = RankerSettings(num_generated=2)


def rows_of(*rows: tuple[list[str] | None, list[int] | None, int, list[str]]) -> pa.Table:
    """Training rows from (items, times, label time, labels)."""
    items, times, label_times, labels = zip(*rows, strict=True)
    kinds = [None if row is None else ["purchase"] * len(row) for row in items]
    return pa.table(
        {
            "item_ids": pa.array(items, pa.list_(pa.string())),
            "event_types": pa.array(kinds, pa.list_(pa.string())),
            "event_times_ms": pa.array(times, pa.list_(pa.int64())),
            "label_time_ms": pa.array(label_times, pa.int64()),
            "label_item_ids": pa.array(labels, pa.list_(pa.string())),
        }
    )


def test_rows_keep_their_known_labels() -> None:
    """Unknown labels go; a row that has no other goes with them; null lists are empty."""
    data = training_data(
        rows_of(
            (["a", "b"], [1, 2], 9, ["c", "x"]),
            (["a"], [1], 9, ["x"]),
            (None, None, 7, ["a", "b"]),
        ),
        ITEMS,
        SETTINGS,
    )
    assert len(data) == 2
    assert data.lengths.tolist() == [2, 0]
    assert data.label_times_ms.tolist() == [9, 7]
    position, codes = data.labels(np.array([1, 0]))
    assert (position.tolist(), codes.tolist()) == ([0, 0, 1], [1, 2, 3])


def test_a_row_that_holds_its_own_label_is_refused() -> None:
    """An event at the label's time may be the label."""
    with pytest.raises(ValueError, match="as of before"):
        training_data(rows_of((["a"], [9], 9, ["a"])), ITEMS, SETTINGS)


def test_a_batch_is_as_long_as_its_longest_sequence() -> None:
    """Columns of nothing but padding are cut, but for one: every weight takes part in a step."""
    rows = rows_of(*[(["a"] * n, list(range(n)), 10**6, ["a"]) for n in (5, 2, 0)])
    padded = pad_sequences(rows, ITEMS, 100)
    short = type(padded)(*(array[1:] for array in padded))
    batch = to_batch(
        short, nothing_generated(2), np.array([10**6, 10**6]), np.zeros((2, 1, 4), np.float32)
    )
    assert batch.codes.tolist() == [[1, 1], [0, 0]]
    empty = type(padded)(*(array[2:] for array in padded))
    trends = np.zeros((1, 1, 4), np.float32)
    batch = to_batch(empty, nothing_generated(1), np.array([1]), trends)
    assert batch.codes.tolist() == [[0]]


def nothing_generated(num_rows: int) -> PaddedGenerated:
    """Rows without generated behaviours."""
    return PaddedGenerated(np.zeros((num_rows, 2), np.int64), np.zeros((num_rows, 2), np.float32))


def test_generated_behaviours_are_joined_to_their_row() -> None:
    """The most probable ones by code; unknown items keep their place as padding."""
    rows = pa.table(
        {
            "generated_item_ids": [["b", "x", "a"], [], ["c"]],
            "generated_probabilities": [[0.5, 0.3, 0.2], [], [0.9]],
        }
    )
    padded = pad_generated(rows, ITEMS, 2)
    assert padded.codes.tolist() == [[2, 0], [0, 0], [3, 0]]
    np.testing.assert_allclose(padded.probabilities, [[0.5, 0.3], [0, 0], [0.9, 0]])
    assert pad_generated(pa.table({"user_id": ["u"]}), ITEMS, 2).codes.tolist() == [[0, 0]]


def test_probabilities_count_in_halves() -> None:
    """Certain, a half, an eighth; the last bucket takes everything below, padding too."""
    probabilities = torch.tensor([1.0, 0.5, 0.13, 1e-9, 0.0])
    assert probability_buckets(probabilities).tolist() == [
        0,
        1,
        2,
        NUM_PROBABILITY_BUCKETS - 1,
        NUM_PROBABILITY_BUCKETS - 1,
    ]
