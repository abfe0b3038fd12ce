"""The topics of the system and how many partitions each has."""

from __future__ import annotations

from reaseq.settings import Settings
from streams.log import Log, Topic


def create_topics(log: Log, settings: Settings) -> None:
    """Create the system's topics where they are missing."""
    names = settings.topics
    log.create_topics(
        [
            Topic(names.events, settings.kafka.num_partitions),
            Topic(names.items, 1),
            Topic(names.impressions, settings.kafka.num_partitions),
            Topic(names.dead_letters, 1),
        ]
    )
