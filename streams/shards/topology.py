"""What is done with which topic: one table.

A further handler of a topic is a file in `streams.shards.handlers` and a row here. On partitions
that have been read before it begins with the next record, and its shard says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.erasure.erased_users import NOBODY, ErasedUsers
from streams.feature_store.ports import FeatureTables
from streams.log.codec import Codec, event_codec, item_codec
from streams.log.event_times import EventTimes
from streams.log.placement import Placement
from streams.settings import StreamSettings, TopicSettings
from streams.shards.handlers.catalogue import CatalogueHandler
from streams.shards.handlers.port import Handler
from streams.shards.handlers.sequences import EventSink, SequenceHandler
from streams.shards.write_ahead_log import WriteAheadLog


@dataclass(frozen=True)
class HandlerPorts:
    """Everything that handlers may work with; each takes what it needs."""

    features: FeatureTables
    archive: EventSink
    wal: WriteAheadLog
    settings: StreamSettings
    erased: ErasedUsers = NOBODY


class TopicRow(NamedTuple):
    """How a topic is read, and by how many shards at most.

    The first handler decides which records count as accepted.
    """

    codec: Callable[[int, EventTimes, Placement], Codec[Any]]
    """Makes the codec, given the largest size of a value in bytes, the times to believe and where
    users live."""
    handlers: Sequence[Callable[[HandlerPorts], Handler]]
    num_shards: int


Topology = dict[str, TopicRow]


def topology(topics: TopicSettings, num_shards: int) -> Topology:
    """The topics that shards read; `num_shards` of them share the events."""
    return {
        topics.events: TopicRow(event_codec, [_sequences], num_shards),
        topics.items: TopicRow(item_codec, [_catalogue], num_shards=1),
    }


def _sequences(ports: HandlerPorts) -> Handler:
    return SequenceHandler(
        ports.features,
        ports.archive,
        ports.wal,
        max_events=ports.settings.max_sequence_events,
        max_users=ports.settings.max_users_in_memory,
        erased=ports.erased,
    )


def _catalogue(ports: HandlerPorts) -> Handler:
    return CatalogueHandler(ports.features)
