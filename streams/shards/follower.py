"""Following a topic for a purpose other than the shards': what to look at again, and from where.

A shard applies records; a follower only sees what they are about and then works from the features.
It needs no state but its positions and must bear seeing records twice. Bad records are the shards'
to set aside; here they are passed over, and so are those of users who were erased since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from streams.erasure.erased_users import NOBODY, ErasedUsers, stay
from streams.log.codec import Codec
from streams.log.ports import LogReader, Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress

ERASED_AGE_S = 2.0
"""How long a follower goes by the erased users that it knows of."""

Positions = Mapping[Partition, int]
Start = Callable[[LogReader, Sequence[Partition]], Positions]
"""Where to begin in each partition: `from_now`, `after_shards`, `resume`, `at`."""


def from_now(reader: LogReader, partitions: Sequence[Partition]) -> Positions:
    """Begin with what comes next. What came before is in the features: begin with those."""
    return reader.end_offsets(partitions)


def after_shards(checkpoints: Checkpoints) -> Start:
    """Begin where the shards have come to, or with the first record where they have not begun."""

    def start(reader: LogReader, partitions: Sequence[Partition]) -> Positions:
        return dict.fromkeys(partitions, 0) | _saved(checkpoints, partitions)

    return start


def resume(checkpoints: Checkpoints) -> Start:
    """Go on from the follower's own checkpoints; with what comes next the first time."""

    def start(reader: LogReader, partitions: Sequence[Partition]) -> Positions:
        return {**from_now(reader, partitions), **_saved(checkpoints, partitions)}

    return start


def at(positions: Positions) -> Start:
    """Begin at these positions."""
    return lambda reader, partitions: positions


class Followed(NamedTuple):
    """Decoded records of one partition; the next one to read is at `next_offset`."""

    partition: Partition
    table: pa.Table
    next_offset: int


class Follower:
    """Follows all partitions of a topic from where `start` says."""

    def __init__(
        self,
        reader: LogReader,
        codec: Codec[Any],
        partitions: Sequence[Partition],
        start: Start,
        checkpoints: Checkpoints | None = None,
        erased: ErasedUsers = NOBODY,
    ) -> None:
        """`checkpoints` keep its own positions, for `save`; without them it saves none."""
        self._erased = erased
        self._refreshed_at = float("-inf")
        self._reader = reader
        self._codec = codec
        self._partitions = tuple(partitions)
        self._start = start
        self._checkpoints = checkpoints
        self._positions: dict[Partition, int] = {}
        self.reset(self.starts())

    def starts(self) -> Positions:
        """Where it would begin now."""
        return self._start(self._reader, self._partitions)

    def reset(self, positions: Positions) -> None:
        """Read on from these positions."""
        self._positions = self._reader.assign(positions)

    def poll(self, timeout_s: float, max_records: int) -> list[Followed]:
        """What has arrived, waiting up to `timeout_s`."""
        # Before anything is read: what fails here must not lose what was.
        if time.monotonic() - self._refreshed_at > ERASED_AGE_S:
            self._erased.refresh()
            self._refreshed_at = time.monotonic()
        followed = []
        for batch in self._reader.poll(timeout_s, max_records):
            table = self._codec.decode_batch(batch).table
            table = table.filter(pa.array(stay(table, self._erased)))
            self._positions[batch.partition] = batch.next_offset
            followed.append(Followed(batch.partition, table, batch.next_offset))
        return followed

    def save(self) -> None:
        """Everything polled so far is done: `resume` goes on from here."""
        assert self._checkpoints is not None, "this follower keeps no positions"
        saved = _saved(self._checkpoints, self._partitions)
        for partition, next_offset in self._positions.items():
            if saved.get(partition) != next_offset:
                progress = Progress(next_offset=next_offset)
                self._checkpoints.save(partition, Checkpoint(progress, {}))

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()


def _saved(checkpoints: Checkpoints, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """The next offset of the partitions that have a checkpoint."""
    progress = {partition: checkpoints.progress(partition) for partition in partitions}
    return {partition: kept.next_offset for partition, kept in progress.items() if kept}
