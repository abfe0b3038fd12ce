"""What tests of shards share: a shard that is lost at any moment, and one read to the end."""

from __future__ import annotations

import random
from collections.abc import Callable

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
