"""How far the shards have come for each user: which of the log's records a sequence includes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.log.partitioner import partition_of
from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoints

NOT_FROM_THE_LOG = -1


class Position(NamedTuple):
    """Every record of `partition` before `next_offset` has been taken in; perhaps more."""

    partition: int = NOT_FROM_THE_LOG
    next_offset: int = 0


class Positions:
    """The shards' positions as they were when this was made.

    Read positions first and sequences afterwards: then the sequences hold at least as much.
    """

    def __init__(self, checkpoints: Checkpoints, topic: str, num_partitions: int) -> None:
        kept = [checkpoints.progress(Partition(topic, n)) for n in range(num_partitions)]
        self._next_offsets = [progress.next_offset if progress else 0 for progress in kept]

    def of(self, user_ids: Sequence[str]) -> list[Position]:
        """The position for each user."""
        num_partitions = len(self._next_offsets)
        numbers = [partition_of(user_id.encode(), num_partitions) for user_id in user_ids]
        return [Position(number, self._next_offsets[number]) for number in numbers]
