"""The table says how each topic is read and by which handlers."""

from __future__ import annotations

from pathlib import Path

import pytest

from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA
from streams.feature_store.memory import MemoryFeatures
from streams.log.byte_slices import ByteSlices
from streams.offline.events import EventArchive
from streams.settings import StreamSettings, TopicSettings
from streams.shards.checkpoints import Checkpoints
from streams.shards.topology import HandlerPorts, topology

NO_VALUES = ByteSlices.of([])


@pytest.fixture
def ports(tmp_path: Path, store: MemoryFeatures) -> HandlerPorts:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    return HandlerPorts(store, EventArchive(tmp_path / "events"), checkpoints, StreamSettings())


def test_every_topic_has_its_codec_and_its_handlers(ports: HandlerPorts) -> None:
    """Events become sequences, shared by the shards of the settings; items the catalogue."""
    plan = topology(TopicSettings(events="e", items="i"), num_shards=3)
    found = {topic: [make(ports).name for make in row.handlers] for topic, row in plan.items()}
    assert found == {"e": ["sequences"], "i": ["catalogue"]}
    assert {topic: row.num_shards for topic, row in plan.items()} == {"e": 3, "i": 1}
    assert plan["e"].codec(1000).decode(NO_VALUES).table.schema == EVENT_SCHEMA
    assert plan["i"].codec(1000).decode(NO_VALUES).table.schema == ITEM_SCHEMA


def test_names_are_fit_for_files_and_unlike(ports: HandlerPorts) -> None:
    """A handler's name is part of the names of its files, for good."""
    for row in topology(TopicSettings(), num_shards=1).values():
        names = [make(ports).name for make in row.handlers]
        assert all(name.isidentifier() for name in names)
        assert len(set(names)) == len(names)


def test_shards_do_not_share_handlers(ports: HandlerPorts) -> None:
    """Each shard makes its own: a handler holds the state of its shard's partitions."""
    for row in topology(TopicSettings(), num_shards=2).values():
        for make in row.handlers:
            assert make(ports) is not make(ports)
