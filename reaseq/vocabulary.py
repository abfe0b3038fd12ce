"""Item ids as dense integers: the one place where a string id becomes an array index.

A model and everything that scores beside it must agree on which row of a matrix is which item. The
vocabulary is that agreement, so it is frozen when a model is made and travels in its folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.types import Int64s

UNKNOWN = 0
"""The code of padding and of every item that the vocabulary does not hold."""

FILE_NAME = "vocabulary.json"

_SHORT = 512
"""Below this many ids a dict beats Arrow, which hashes the whole vocabulary at every call."""


class ItemVocabulary:
    """A frozen list of item ids; the item at position `p` has the code `p + 1`.

    Raises ValueError when an id occurs twice.
    """

    def __init__(self, item_ids: Iterable[str]) -> None:
        self.item_ids: tuple[str, ...] = tuple(item_ids)
        self._codes = {item_id: code for code, item_id in enumerate(self.item_ids, start=1)}
        if len(self._codes) != len(self.item_ids):
            raise ValueError("item ids repeat: give every item once, for example sorted(set(ids))")
        self._arrow = pa.array(self.item_ids, pa.string())

    def __len__(self) -> int:
        """The number of items, not counting code 0. A matrix by code has `len(self) + 1` rows."""
        return len(self.item_ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._codes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemVocabulary) and self.item_ids == other.item_ids

    def __hash__(self) -> int:
        return hash(self.item_ids)

    def encode(self, item_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> Int64s:
        """The codes of `item_ids`, one each; null and unknown ids become 0."""
        if len(item_ids) < _SHORT:
            codes = [self._codes.get(item_id, UNKNOWN) for item_id in _as_list(item_ids)]
            return np.array(codes, np.int64)
        column = item_ids if isinstance(item_ids, pa.ChunkedArray) else _as_arrow(item_ids)
        positions = pc.index_in(column, value_set=self._arrow, skip_nulls=True)
        return np.asarray(pc.fill_null(positions, -1).to_numpy(), np.int64) + 1

    def decode(self, codes: Int64s | Sequence[int]) -> list[str]:
        """The item ids of `codes`. Raises ValueError for a code that is not an item."""
        positions = np.asarray(codes, np.int64) - 1
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise ValueError(f"codes must lie in 1..{len(self)}; 0 is padding and has no item id")
        return [self.item_ids[p] for p in positions]

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json` into an existing folder."""
        (folder / FILE_NAME).write_text(json.dumps(self.item_ids), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ItemVocabulary:
        """Read what `save` wrote."""
        return cls(json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))


def _as_list(item_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> Sequence[Any]:
    return item_ids.to_pylist() if hasattr(item_ids, "to_pylist") else item_ids


def _as_arrow(item_ids: pa.Array | Sequence[str]) -> pa.Array:
    return item_ids if isinstance(item_ids, pa.Array) else pa.array(item_ids, pa.string())
