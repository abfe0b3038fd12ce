"""A column of byte strings that lie anywhere in one buffer.

What a fetch brings is one buffer with keys, values and headers between each other. A column that
says where each value begins and ends needs no copy of any, and a compiled loop reads it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reaseq.types import Bytes, Int64s


@dataclass(frozen=True, eq=False)
class ByteSlices:
    """Entry i is `data[starts[i] : ends[i]]`; an end below its start means that there is none.

    The buffer is read-only, so that loops are compiled for one kind of array.
    """

    data: Bytes
    starts: Int64s
    ends: Int64s

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> ByteSlices:
        """A column of values that are objects already."""
        data = np.frombuffer(b"".join(value for value in values if value), np.uint8)
        lengths = np.fromiter((len(value or b"") for value in values), np.int64, len(values))
        ends = np.cumsum(lengths)
        starts = ends - lengths
        for position, value in enumerate(values):
            if value is None:
                starts[position], ends[position] = 0, -1
        return cls(data, starts, ends)

    def __len__(self) -> int:
        """The number of entries, missing ones included."""
        return len(self.starts)

    def __getitem__(self, position: int) -> bytes | None:
        """One entry, copied."""
        start, end = self.starts[position], self.ends[position]
        return None if end < start else self.data[start:end].tobytes()

    def to_pylist(self) -> list[bytes | None]:
        """Every entry, copied."""
        data = self.data.tobytes()
        return [
            None if end < start else data[start:end]
            for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        ]

    def slice(self, chosen: slice) -> ByteSlices:
        """Some entries that follow each other, on the same buffer."""
        return ByteSlices(self.data, self.starts[chosen], self.ends[chosen])
