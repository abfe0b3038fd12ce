"""`streams.shards.positions`."""

from __future__ import annotations

from pathlib import Path

from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress
from streams.shards.positions import Position, Positions, partition_of_key


def test_a_key_has_the_partition_that_javas_client_gives_it() -> None:
    """murmur2 of Kafka's own tests: 21 → -973932308, 'foobar' → -790332482."""
    hashes = {"21": -973932308, "foobar": -790332482}
    for key, hashed in hashes.items():
        assert partition_of_key(key, 1000) == (hashed & 0x7FFFFFFF) % 1000


def test_each_user_has_the_position_of_the_own_partition(tmp_path: Path) -> None:
    """As it was at the start; 0 where no shard has begun."""
    checkpoints = Checkpoints(tmp_path)
    users = [f"u{n}" for n in range(20)]
    homes = [partition_of_key(user, 2) for user in users]
    checkpoints.save(Partition("events", 1), Checkpoint(Progress(next_offset=7), None))
    positions = Positions(checkpoints, "events", 2)
    checkpoints.save(Partition("events", 0), Checkpoint(Progress(next_offset=9), None))
    assert positions.of(users) == [Position(n, 7 if n else 0) for n in homes]
    assert set(homes) == {0, 1}
