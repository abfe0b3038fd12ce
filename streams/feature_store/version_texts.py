"""Row versions as texts that compare as the versions do, for a store that keeps bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.types import Bytes, Int64s
from streams.feature_store.guard import Stored

NUM_DIGITS = 20
VERSION_LENGTH = 2 * NUM_DIGITS


def version_texts(event_times_us: Int64s, revisions: Int64s) -> pa.Array:
    """Versions as digits that compare as they do, whatever compares them."""
    digits = np.empty(VERSION_LENGTH * len(revisions), np.uint8)
    _write_digits(event_times_us, digits, 0)
    _write_digits(revisions, digits, NUM_DIGITS)
    starts = np.arange(0, len(digits) + 1, VERSION_LENGTH, dtype=np.int32)
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.binary(), len(revisions), buffers)


def stored_versions(answers: list[tuple[bytes | None, bytes | None]]) -> Stored:
    """The versions in what Redis answered: of each row its version and Feast's time, if any.

    A version without a time does not count: Feast removed the row with its view.
    """
    is_there = np.array([None not in answer for answer in answers], np.bool_)
    texts = [version for version, time in answers if version is not None and time is not None]
    assert all(len(text) == VERSION_LENGTH for text in texts), "a version that is not ours"
    digits = np.frombuffer(b"".join(texts), np.uint8)
    times_us, revisions = np.zeros((2, len(answers)), np.int64)
    times_us[is_there] = _read_digits(digits, 0)
    revisions[is_there] = _read_digits(digits, NUM_DIGITS)
    return Stored(is_there, times_us, revisions)


SHIFT = np.uint64(2**63)
"""Added to a number, it makes the least one zero."""


@compiled
def _write_digits(numbers: Int64s, digits: Bytes, first: int) -> None:
    """Write a number into each version, from its digit `first` on."""
    for row in range(len(numbers)):
        start = VERSION_LENGTH * row + first
        rest = np.uint64(numbers[row]) + SHIFT
        for place in range(NUM_DIGITS - 1, -1, -1):
            digits[start + place] = np.uint8(np.uint64(48) + rest % np.uint64(10))
            rest //= np.uint64(10)


@compiled
def _read_digits(digits: Bytes, first: int) -> Int64s:
    """The number in each version that begins at its digit `first`."""
    numbers = np.zeros(len(digits) // VERSION_LENGTH, np.int64)
    for row in range(len(numbers)):
        start = VERSION_LENGTH * row + first
        number = np.uint64(0)
        for place in range(NUM_DIGITS):
            number = number * np.uint64(10) + np.uint64(digits[start + place] - np.uint8(48))
        numbers[row] = np.int64(number - SHIFT)
    return numbers
