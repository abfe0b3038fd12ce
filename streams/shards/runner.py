"""From assigned partitions to a running shard: the plain object inside each actor of the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from streams.log.dead_letters import DeadLetters
from streams.log.ports import Log, Partition
from streams.shards.checkpoints import Checkpoints
from streams.shards.shard import Shard
from streams.shards.topology import HandlerPorts, Topology

READER_NAME = "reaseq"
"""Under which lag tools show the positions of all shards."""


@dataclass(frozen=True)
class ShardRunner:
    """Builds shards as the topology says, and runs them."""

    topology: Topology
    log: Log
    checkpoints: Checkpoints
    ports: HandlerPorts
    dead_letter_topic: str
    max_event_bytes: int
    """A longer value becomes a dead letter."""

    def run(
        self,
        partitions: Sequence[Partition],
        on_started: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Restore the shard of these partitions, say so, and follow the log until told to stop.

        However it ends, its connections are closed.
        """
        with closing(self.shard(partitions)) as shard:
            shard.restore()
            on_started()
            shard.run(should_stop)

    def shard(self, partitions: Sequence[Partition]) -> Shard:
        """A shard of partitions of one topic, with handlers of its own; not yet restored."""
        (topic,) = {partition.topic for partition in partitions}
        row = self.topology[topic]
        return Shard(
            partitions=partitions,
            reader=self.log.reader(READER_NAME),
            codec=row.codec(self.max_event_bytes),
            handlers=[make(self.ports) for make in row.handlers],
            dead_letters=DeadLetters(self.log.writer(), self.dead_letter_topic),
            checkpoints=self.checkpoints,
            settings=self.ports.settings,
        )
