"""Generating for everybody adds to what was generated before, and takes nothing of it away."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps.jobs.generate import Scope, SliceGenerator
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.schemas import ORDER_SCHEMA, SEQUENCE_SCHEMA
from streams.feature_store.memory import MemoryFeatures
from streams.offline.tables import new_run
from streams.shards.checkpoints import Checkpoints
from streams.shards.positions import Positions
from tests.unit.ray_apps.serving.fakes import ToyGenerator

USERS = pa.table({"user_id": ["ann"]})


def sequence(time_ms: int, revision: int) -> pa.Table:
    """Ann's sequence after her newest event."""
    row = {name: [] for name in SEQUENCE_SCHEMA.names}
    row |= {"user_id": "ann", "newest_event_time_ms": time_ms, "revision": revision}
    return pa.Table.from_pylist([row], schema=SEQUENCE_SCHEMA)


def order(time_ms: int) -> pa.Table:
    row = {"user_id": "ann", "label_time_ms": time_ms, "item_ids": ["mug"]}
    return pa.Table.from_pylist([row], schema=ORDER_SCHEMA)


@pytest.fixture
def features() -> MemoryFeatures:
    features = MemoryFeatures()
    features.write(SEQUENCES, sequence(100, 1))
    return features


@pytest.fixture
def positions(tmp_path: Path) -> Positions:
    return Positions(Checkpoints(tmp_path), "events", 2)


def job(
    features: MemoryFeatures, positions: Positions, scope: Scope = "all", version: str = "v1"
) -> SliceGenerator:
    """A run of the champion."""
    return SliceGenerator(
        features, ToyGenerator(version), positions, scope, new_run(f"{scope}-{version}")
    )


@pytest.mark.parametrize("has_new_events", [True, False])
def test_a_second_run_of_a_champion_replaces_nothing(
    features: MemoryFeatures, positions: Positions, has_new_events: bool
) -> None:
    """The rows of both runs are kept, and an order between them finds what it was shown with."""
    job(features, positions).take(USERS, 0)
    (first,) = features.offline[GENERATED.name]
    if has_new_events:
        features.write(SEQUENCES, sequence(200, 2))
    job(features, positions).take(USERS, 0)
    assert len(features.offline[GENERATED.name]) == 2
    assert features.offline[GENERATED.name][0] == first
    if has_new_events:
        assert features.rows_before(GENERATED, order(200)).to_pylist() == [first]
        newest = features.rows_before(GENERATED, order(201)).to_pylist()
        assert newest == features.offline[GENERATED.name][1:]


def test_a_slice_that_is_repeated_is_added_once(
    features: MemoryFeatures, positions: Positions
) -> None:
    """Ray makes a call again whose worker was lost; another slice is another addition."""
    running = job(features, positions)
    for number in (0, 0, 1):
        running.take(USERS, number)
    assert len(features.offline[GENERATED.name]) == 2


def test_past_sequences_are_generated_for_offline_only(
    features: MemoryFeatures, positions: Positions
) -> None:
    """What is online now has nothing to do with them."""
    job(features, positions, "as-of").take(sequence(50, 1), 0)
    assert GENERATED.name not in features.online
    (row,) = features.offline[GENERATED.name]
    assert (row["newest_event_time_ms"], row["item_ids"]) == (50, ["v1:ann"])
