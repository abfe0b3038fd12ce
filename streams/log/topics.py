"""The topics of the system and how many partitions each has."""

from __future__ import annotations

from streams.log.ports import Log, Topic
from streams.settings import TopicSettings


def create_topics(log: Log, names: TopicSettings, num_partitions: int) -> None:
    """Create the system's topics where they are missing; what is keyed by user is partitioned."""
    log.create_topics(
        [
            Topic(names.events, num_partitions),
            Topic(names.items, 1),
            Topic(names.impressions, num_partitions),
            Topic(names.dead_letters, 1),
        ]
    )
