"""What a shard makes of a log that is not what it was when it last looked."""

from __future__ import annotations

import logging
import time

import msgspec

from reaseq.errors import NotReadyError
from streams.log.ports import KnownTopic, Partition
from streams.shards.checkpoints import Progress

logger = logging.getLogger(__name__)


def new_epoch(last: int = 0) -> int:
    """Greater than the last one, and than those that nobody knows of any more."""
    return max(last + 1, time.time_ns() // 1_000_000)


def without_lost(partition: Partition, before: Progress, start: int) -> Progress:
    """The progress where the log now begins at `start`, the records up to it counted as lost."""
    num_lost = start - before.next_offset
    if num_lost <= 0:
        return before
    logger.warning(
        "%s[%d]: %d records from offset %d on left the log before they were read: let the topic "
        "keep them longer (retention.ms, retention.bytes)",
        *(*partition, num_lost, before.next_offset),
    )
    counters = before.counters
    counters = msgspec.structs.replace(counters, num_lost=counters.num_lost + num_lost)
    return msgspec.structs.replace(before, counters=counters)


def gone_back(partition: Partition, before: Progress, first: int) -> Progress:
    """The progress where the log goes on at an offset that was read before."""
    logger.warning(
        "%s[%d] went back from offset %d to %d: the broker lost records, or the topic was made "
        "again; what comes is merged, and archived under a new epoch",
        *(*partition, before.next_offset, first),
    )
    epoch = new_epoch(before.epoch)
    return msgspec.structs.replace(before, next_offset=first, epoch=epoch)


def in_topic(partition: Partition, before: Progress, topic: KnownTopic) -> Progress:
    """The progress in the topic as it is now: at the beginning of one that was made again.

    Raises NotReadyError where it has another number of partitions, as users belong elsewhere then.
    """
    same_topic = {
        "topic_id": topic.id or before.topic_id,
        "num_partitions": topic.num_partitions or before.num_partitions,
    }
    now = msgspec.structs.replace(before, **same_topic)
    if before.num_partitions not in (0, now.num_partitions):
        raise NotReadyError(
            f"topic {partition.topic} has {now.num_partitions} partitions, and had "
            f"{before.num_partitions} when this checkpoint was made: users belong elsewhere now, "
            "and Kafka takes no partitions back. Let a new topic take its place: see "
            '"Partitions" in docs/operations.md'
        )
    if before.topic_id in ("", now.topic_id):
        return now
    logger.warning(
        "%s[%d] belongs to a topic that was made again under its name: it is read from its "
        "beginning, and archived under a new epoch",
        *partition,
    )
    return msgspec.structs.replace(now, next_offset=0, epoch=new_epoch(before.epoch))
