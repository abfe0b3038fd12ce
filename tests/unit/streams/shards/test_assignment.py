"""Every partition has exactly one shard, and no shard is idle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.settings import TopicSettings
from streams.shards.assignment import assign_partitions, assign_shards
from streams.shards.topology import topology


@given(st.integers(0, 12), st.integers(1, 15))
def test_partitions_are_assigned_without_loss(num_partitions: int, num_shards: int) -> None:
    """As many shards as asked for and possible, none with two partitions more than another."""
    partitions = [Partition("events", number) for number in range(num_partitions)]
    assigned = assign_partitions(partitions, num_shards)
    assert sorted(p for shard in assigned for p in shard) == partitions
    assert len(assigned) == min(num_partitions, num_shards)
    sizes = [len(shard) for shard in assigned]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_the_same_partitions_are_assigned_alike_at_every_start() -> None:
    """A restart with as many shards reads what it read before."""
    partitions = [Partition("events", number) for number in range(5)]
    assert assign_partitions(partitions, 2) == [
        [partitions[0], partitions[2], partitions[4]],
        [partitions[1], partitions[3]],
    ]


def test_each_topic_has_shards_of_its_own() -> None:
    """The events have several, the items one, and a topic that is not there has none."""
    names = TopicSettings()
    log = MemoryLog()
    log.create_topics([Topic(names.events, 3)])
    plan = topology(names, num_shards=2)
    events = log.partitions(names.events)
    assert assign_shards(plan, log) == [[events[0], events[2]], [events[1]]]
    log.create_topics([Topic(names.items, 2)])
    assert assign_shards(plan, log)[2:] == [log.partitions(names.items)]
