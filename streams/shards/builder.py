"""From assigned partitions to a shard on the ports it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.log.dead_letters import DeadLetters
from streams.log.event_times import EventTimes
from streams.log.placement import Placement
from streams.log.ports import Log, Partition
from streams.shards.checkpoints import Checkpoints
from streams.shards.shard import Shard
from streams.shards.topology import HandlerPorts, Topology

READER_NAME = "reaseq"
"""Under which lag tools show the positions of all shards."""


@dataclass(frozen=True)
class ShardBuilder:
    """Builds shards as the topology says."""

    topology: Topology
    log: Log
    checkpoints: Checkpoints
    ports: HandlerPorts
    dead_letter_topic: str
    max_event_bytes: int
    """A longer value becomes a dead letter."""
    event_times: EventTimes
    """An event of any other time becomes a dead letter."""

    def build(self, partitions: Sequence[Partition]) -> Shard:
        """A shard of partitions of one topic, with handlers of its own; not yet restored."""
        (topic,) = {partition.topic for partition in partitions}
        row = self.topology[topic]
        reader = self.log.reader(READER_NAME)
        placement = Placement(reader.known(topic).num_partitions)
        return Shard(
            partitions=partitions,
            reader=reader,
            codec=row.codec(self.max_event_bytes, self.event_times, placement),
            handlers=[make(self.ports) for make in row.handlers],
            dead_letters=DeadLetters(self.log.writer(), self.dead_letter_topic),
            checkpoints=self.checkpoints,
            settings=self.ports.settings,
            erased=self.ports.erased,
        )
