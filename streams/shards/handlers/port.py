"""The handler as a shard sees it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

from reaseq.types import Int64s
from streams.log.ports import Partition
from streams.offline.tables import Commit


class Arrivals(NamedTuple):
    """Records of one partition that could be decoded, in log order."""

    partition: Partition
    epoch: int
    """Numbers the unbroken run of offsets that these belong to; later runs have greater numbers."""
    offsets: Int64s
    """Of each row of `table`."""
    table: pa.Table


class Handler(Protocol):
    """What a shard does with the decoded records of its partitions.

    Several handlers of a topic see the same tables. Each keeps what it likes per partition and
    returns it as rows of a schema of its own, which come back after a restart. The first column is
    the key of a row.
    """

    @property
    def name(self) -> str:
        """Names the handler's state in checkpoints: an identifier, for good."""

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        """Take up a partition from the rows its checkpoints kept, one of each key.

        Those that changed last stand at the end. None: from nothing.
        """

    def apply(self, arrivals: Arrivals) -> int:
        """Take in new records, perhaps none; return how many changed anything."""

    def write(self) -> None:
        """Make everything applied since the last time readable online."""

    def forget(self, partition: Partition, user_hashes: Int64s) -> None:
        """With the next checkpoint, hold nothing of these users (`hash64`) in memory any more.

        Called when they have been erased; a handler whose state is not about users does nothing.
        Rows that it has kept by `user_id` are taken out of the checkpoint for it.
        """

    def checkpoint(self, partition: Partition, commit: Commit) -> pa.Table | None:
        """Make what was applied since the last time durable; return the state rows that changed.

        They replace the rows of the same keys. Everything applied has been written. Also called
        when nothing was applied, because the position moved without it. `commit` says up to which
        offset that is. After a crash the records since the last checkpoint come again, perhaps
        fewer or more of them: what was made durable up to an offset holds all that any commit up to
        an earlier one would. None: there is no state to keep.
        """
