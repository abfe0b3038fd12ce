"""What tests of shards share: a shard that is lost at any moment, and one read to the end."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from streams.log.ports import Partition
from streams.shards.handlers.port import Arrivals
from streams.shards.shard import Shard


def drain(shard: Shard) -> None:
    """Take in everything that the log holds."""
    while shard.step():
        pass


def run_with_crashes(new_shard: Callable[[], Shard], rng: random.Random, num_moves: int) -> None:
    """Steps, checkpoints and lost shards in any mixture, then everything that is left."""
    shard = new_shard()
    for _ in range(num_moves):
        move = rng.random()
        if move < 0.6:
            shard.step()
        elif move < 0.8:
            shard.checkpoint()
        else:
            shard = new_shard()  # the old one is gone, with all it had not checkpointed
    drain(shard)
    shard.checkpoint()


def arrivals(table: pa.Table, partition: Partition, offset: int = 0) -> Arrivals:
    """Rows as they came out of the log, one after the other from an offset on."""
    return Arrivals(partition, 7, np.arange(offset, offset + table.num_rows), table)
