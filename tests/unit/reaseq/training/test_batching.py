"""`reaseq.training.batching`."""

from __future__ import annotations

import numpy as np
import pytest

from reaseq.training.batching import epoch_batches, members


def test_an_epoch_holds_every_row_once() -> None:
    """In as many batches as it takes."""
    lengths = np.zeros(7, np.int64)
    seen = list(epoch_batches(lengths, 3, 3, np.random.default_rng(0)))
    assert sorted(np.concatenate(seen).tolist()) == list(range(7))


def test_short_data_goes_round_again() -> None:
    """When more batches are asked for than there are."""
    lengths = np.zeros(7, np.int64)
    batches = [b.tolist() for b in epoch_batches(lengths, 3, 8, np.random.default_rng(0))]
    assert batches[3:6] == batches[:3]
    assert len(batches) == 8


def test_a_batch_holds_rows_of_like_length() -> None:
    """Lengths far apart never meet, those near each other do now and then."""
    lengths = np.tile(np.array([0, 1000]), 32)
    for batch in epoch_batches(lengths, 8, 8, np.random.default_rng(0)):
        assert len(set(lengths[batch].tolist())) == 1
    near = np.arange(64) % 2
    batches = epoch_batches(near, 8, 8, np.random.default_rng(0))
    assert any(len(set(near[batch].tolist())) == 2 for batch in batches)


def test_the_generator_decides_the_order() -> None:
    """The same random numbers give the same epoch."""
    lengths = np.arange(40)
    epochs = [
        [batch.tolist() for batch in epoch_batches(lengths, 8, 5, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    ]
    assert epochs[0] == epochs[1] != epochs[2]


@pytest.mark.parametrize(
    ("rows", "position", "column", "element"),
    [
        ([1, 0], [0, 1, 1], [0, 0, 1], [2, 0, 1]),
        ([2], [], [], []),
        ([3, 1, 3], [0, 1, 2], [0, 0, 0], [3, 2, 3]),
        ([], [], [], []),
    ],
)
def test_members_of_ragged_rows(
    rows: list[int], position: list[int], column: list[int], element: list[int]
) -> None:
    """Rows of two, one, no and one element, asked for in any order, also twice."""
    found = members(np.array([0, 2, 3, 3, 4]), np.array(rows, np.int64))
    assert [part.tolist() for part in found] == [position, column, element]
