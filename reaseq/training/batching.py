"""Which rows make a batch: those of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from reaseq.types import Int64s

_LENGTH_JITTER = 16
"""Batches mix lengths this far apart, so that an epoch does not always make the same ones."""


def epoch_batches(
    lengths: Int64s, batch_size: int, num_batches: int, rng: np.random.Generator
) -> Iterator[Int64s]:
    """`num_batches` arrays of row numbers, shuffled, of similar length within a batch.

    Data that is too short for `num_batches` goes round again: workers that train together must make
    the same number of steps.
    """
    by_length = np.argsort(lengths + rng.uniform(0, _LENGTH_JITTER, len(lengths)))
    starts = np.arange(0, len(lengths), batch_size)
    for start in np.resize(rng.permutation(starts), num_batches):
        yield by_length[start : start + batch_size]


class Members(NamedTuple):
    """The elements of some rows of a ragged array, row after row."""

    position: Int64s
    """Of each element: the row it is of, counted among those asked for."""
    column: Int64s
    """Its place in the row."""
    element: Int64s
    """Its place among all elements."""


def members(offsets: Int64s, rows: Int64s) -> Members:
    """The elements of `rows` where row i has the elements `offsets[i]:offsets[i + 1]`.

    Example: offsets [0, 2, 3] and rows [1, 0] give position [0, 1, 1], column [0, 0, 1] and
    element [2, 0, 1].
    """
    counts = offsets[rows + 1] - offsets[rows]
    position = np.repeat(np.arange(len(rows)), counts)
    column = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Members(position, column, offsets[rows][position] + column)
