"""Which events were seen before, at eight bytes each.

What counts events, unlike a sequence, would count a repeated one again; see
`reaseq.sequences.merge` for what does not need this.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.sequences.hashing import hash64
from reaseq.types import Bools, Int64s

_ODD = np.int64(-7046029254386353131)


class SeenEvents:
    """Remembers events by user and event id, whatever their content.

    The keys are a short list of sorted arrays, each at least twice as large as the next (the
    logarithmic method), so a batch costs about its own size. Among a hundred million events the
    chance that any is taken for another is one in four thousand.
    """

    def __init__(self) -> None:
        self._pieces: list[Int64s] = []

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def are_new(self, events: pa.Table) -> Bools:
        """Which of the events (EVENT_SCHEMA) were never seen, of equal ones the first; now all are.

        Returns [E].
        """
        keys = _keys_of(events)
        distinct, first = np.unique(keys, return_index=True)
        is_new = np.ones(len(distinct), np.bool_)
        for piece in self._pieces:
            place = np.minimum(np.searchsorted(piece, distinct), len(piece) - 1)
            is_new &= piece[place] != distinct
        self._add(distinct[is_new])
        answer = np.zeros(len(keys), np.bool_)
        answer[first[is_new]] = True
        return answer

    def _add(self, keys: Int64s) -> None:
        """Remember keys, sorted, that no piece holds."""
        while self._pieces and len(self._pieces[-1]) < 2 * len(keys):
            keys = np.sort(np.concatenate([self._pieces.pop(), keys]), kind="stable")
        if len(keys):
            self._pieces.append(keys)


def _keys_of(events: pa.Table) -> Int64s:
    with np.errstate(over="ignore"):
        keys: Int64s = hash64(events["user_id"]) * _ODD + hash64(events["event_id"])
    return keys
