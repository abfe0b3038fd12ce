"""Which shard reads which partitions: fixed for the life of a stream, and the same at each start.

State belongs to partitions, so the number of shards may differ from one start to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.log.ports import Log, Partition
from streams.shards.topology import Topology


def assign_shards(topology: Topology, log: Log) -> list[list[Partition]]:
    """The partitions of each shard of each topic; a topic that the log lacks has no shard."""
    return [
        partitions
        for topic, row in topology.items()
        for partitions in assign_partitions(log.partitions(topic), row.num_shards)
    ]


def assign_partitions(partitions: Sequence[Partition], num_shards: int) -> list[list[Partition]]:
    """Spread partitions evenly over at most `num_shards` shards; every shard has at least one."""
    assigned = [list(partitions[start::num_shards]) for start in range(num_shards)]
    return [shard for shard in assigned if shard]
