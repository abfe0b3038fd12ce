"""Following a topic for a purpose other than the shards': what to look at again.

A shard applies records; a follower only sees what they are about and then works from the features.
Its position is all its state, and it may see records twice. Bad records are the shards' to set
aside; here they are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from streams.log.codec import Codec
from streams.log.ports import LogReader, Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress


class Followed(NamedTuple):
    """Decoded records of one partition; the next one to read is at `next_offset`."""

    partition: Partition
    table: pa.Table
    next_offset: int


class Follower:
    """Follows all partitions of a topic from its saved positions; the first time, from the end.

    What came before the first time is in the features: whoever follows begins with those.
    """

    def __init__(
        self,
        reader: LogReader,
        codec: Codec[Any],
        checkpoints: Checkpoints,
        partitions: Sequence[Partition],
    ) -> None:
        self._reader = reader
        self._codec = codec
        self._checkpoints = checkpoints
        ends = reader.end_offsets(partitions)
        kept = {p: checkpoints.progress(p) for p in partitions}
        starts = {p: progress.next_offset if progress else ends[p] for p, progress in kept.items()}
        self._positions = reader.assign(starts)

    def poll(self, timeout_s: float, max_records: int) -> list[Followed]:
        """What has arrived, waiting up to `timeout_s`."""
        followed = []
        for batch in self._reader.poll(timeout_s, max_records):
            decoded = self._codec.decode(batch.values)
            self._positions[batch.partition] = batch.next_offset
            followed.append(Followed(batch.partition, decoded.table, batch.next_offset))
        return followed

    def save(self) -> None:
        """Everything polled so far is done: after a restart go on from here."""
        for partition, next_offset in self._positions.items():
            kept = self._checkpoints.progress(partition)
            if kept is None or kept.next_offset != next_offset:
                progress = Progress(next_offset=next_offset)
                self._checkpoints.save(partition, Checkpoint(progress, {}))

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()
