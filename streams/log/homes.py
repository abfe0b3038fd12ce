"""Where users live: all records of one lie in one partition, the one that the partitioner gives.

A producer with another partitioner, or without keys, would split a user among shards, each with
half of the events.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reaseq.types import Column, Int64s
from streams.log.partitioner import partition_of, partitions_of


class Homes(NamedTuple):
    """The homes of users in a topic of so many partitions."""

    num_partitions: int

    def strangers(self, users: Column, partition: int) -> Int64s:
        """The positions of those who live in another partition than this one."""
        homes = partitions_of(users, self.num_partitions)
        return np.flatnonzero(np.asarray(homes) != partition)

    def reason(self, user: str, partition: int) -> str:
        """Why a record of the user is refused in a partition, and what to do."""
        home = partition_of(user.encode(), self.num_partitions)
        return (
            f"user {user} lives in partition {home} of {self.num_partitions}, not in {partition}: "
            "produce with key = user_id and the partitioner of Kafka's Java client (librdkafka: "
            "partitioner=murmur2_random); `reaseq dead-letters requeue` sends it home"
        )
