"""Where events belong: all of a user lie in one partition, the one that the partitioner gives.

A producer with another partitioner, or without keys, would split a user among shards, each with
half of the events.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.types import Column, Int64s
from streams.log.partitioner import partition_of, partitions_of


class Placement(NamedTuple):
    """The partitions of users in a topic that has so many."""

    num_partitions: int

    def misplaced(self, users: Column, partition: int) -> Int64s:
        """The positions of those users who belong in another partition than this one."""
        belong_in = partitions_of(users, self.num_partitions)
        return np.flatnonzero(np.asarray(belong_in) != partition)

    def reason(self, user: str, partition: int) -> str:
        """Why an event of the user is refused in a partition, and what to do."""
        own = partition_of(user.encode(), self.num_partitions)
        return (
            f"user {user} belongs in partition {own} of {self.num_partitions}, not in {partition}: "
            "produce with key = user_id and the partitioner of Kafka's Java client (librdkafka: "
            "partitioner=murmur2_random); `reaseq dead-letters requeue` sends it there"
        )
