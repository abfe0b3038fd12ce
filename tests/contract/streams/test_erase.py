"""`streams.erasure.erase` on Feast's real stores: afterwards nothing names the user anywhere."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reaseq.errors import NotReadyError
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, GENERATED_SCHEMA
from streams.erasure.erase import (
    Stores,
    erase_from_checkpoints,
    erase_from_stores,
    note_erasure,
    remains,
    wait_for_shards,
)
from streams.erasure.erased_users import ErasedUsersTable
from streams.feature_store.features import Features
from streams.log.codec import event_codec
from streams.log.dead_letters import DeadLetters
from streams.log.memory import MemoryLog
from streams.log.ports import Topic
from streams.log.replay import replay
from streams.offline.events import EventArchive
from streams.offline.tables import Commit
from streams.settings import KafkaSettings, StreamSettings
from streams.shards.checkpoints import Checkpoints
from streams.shards.handlers.sequences import SequenceHandler
from streams.shards.shard import Shard

NOW_MS = 1_700_000_000_000
USER = "somebody-unmistakable"
PLACES = (
    "events online",
    "generated behaviours online",
    "events offline",
    "generated behaviours offline",
    "events in checkpoints",
)


def events_of(user_id: str, *times_ms: int) -> pa.Table:
    rows = [
        {
            "event_id": f"{user_id}-{time_ms}",
            "user_id": user_id,
            "item_id": "mug",
            "event_type": "view",
            "event_time_ms": time_ms,
            "value": None,
        }
        for time_ms in times_ms
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def generated_for(user_id: str) -> pa.Table:
    row = {
        "user_id": user_id,
        "item_ids": ["cup"],
        "probabilities": [0.5],
        "model_version": "g1",
        "generated_at_ms": NOW_MS,
        "partition": 0,
        "next_offset": 1,
        "newest_event_time_ms": NOW_MS - 1,
        "revision": 1,
    }
    return pa.Table.from_pylist([row], GENERATED_SCHEMA)


class Stage:
    """A shard on real stores, and all that the command works with."""

    def __init__(self, folder: Path, online: dict[str, Any]) -> None:
        Features.apply(folder / "features", **online)
        self.folder = folder
        self.features = Features.open(folder / "features")
        self.log = MemoryLog()
        self.log.create_topics([Topic("events", 1), Topic("dead", 1)])
        self.codec = event_codec(10_000, KafkaSettings().event_times)
        self.stores = Stores(
            ErasedUsersTable(folder / "erased"),
            EventArchive(folder / "events"),
            self.features,
            Checkpoints(folder / "checkpoints"),
            self.log.partitions("events"),
        )

    def shard(self) -> Shard:
        checkpoints = Checkpoints(self.folder / "checkpoints")
        erased = ErasedUsersTable(self.folder / "erased")
        archive = EventArchive(self.folder / "events")
        shard = Shard(
            partitions=self.log.partitions("events"),
            reader=self.log.reader("shard"),
            codec=self.codec,
            handlers=[SequenceHandler(self.features, archive, checkpoints, 5, 9, erased)],
            dead_letters=DeadLetters(self.log.writer(), "dead"),
            checkpoints=checkpoints,
            settings=StreamSettings(poll_timeout_s=0.001),
            erased=erased,
        )
        shard.restore()
        return shard

    def stream(self, events: pa.Table, shard: Shard) -> None:
        replay(events, "user_id", "events", self.codec, self.log.writer())
        while shard.step():
            pass
        shard.checkpoint()

    def fill(self, shard: Shard) -> None:
        """Two users with a past, and something generated for each."""
        times_ms = (NOW_MS - 3, NOW_MS - 2, NOW_MS - 1)
        both = [events_of(user, *times_ms) for user in (USER, "other")]
        self.stream(pa.concat_tables(both), shard)  # into one file
        for user in (USER, "other"):
            self.features.write(GENERATED, generated_for(user))
            self.features.append(
                GENERATED, generated_for(user), Commit("run", int(user == "other"))
            )

    def files_naming(self, text: str) -> list[str]:
        """Files with it as it stands; what is compressed is for `remains` to read."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return [file.name for file in files if text.encode() in file.read_bytes()]


@pytest.fixture
def stage(tmp_path: Path, online: dict[str, Any]) -> Stage:
    return Stage(tmp_path, online)


def test_nothing_of_an_erased_user_is_left_anywhere(stage: Stage) -> None:
    """With no stream about; the other user has everything as before."""
    stage.fill(stage.shard())
    stores = stage.stores
    erasure = note_erasure(stores, USER, NOW_MS)
    assert remains(stores, erasure) == dict(zip(PLACES, (3, 1, 3, 1, 3), strict=True))
    erase_from_checkpoints(stores, erasure)
    erase_from_stores(stores, erasure)
    assert remains(stores, erasure) == dict.fromkeys(PLACES, 0)
    assert stage.files_naming(USER) == []
    other = erasure._replace(user_id="other")
    assert remains(stores, other) == dict(zip(PLACES, (3, 1, 3, 1, 3), strict=True))
    stage.stream(events_of(USER, NOW_MS - 2, NOW_MS + 5), stage.shard())
    assert stage.features.read(SEQUENCES, [USER])["event_times_ms"].to_pylist() == [[NOW_MS + 5]]


def test_a_running_shard_is_waited_for(stage: Stage) -> None:
    """The user's later events that come meanwhile stay."""
    stage.fill(shard := stage.shard())
    stores = stage.stores
    erasure = note_erasure(stores, USER, NOW_MS)
    with pytest.raises(NotReadyError, match="noted and holds"):
        wait_for_shards(stores, erasure, timeout_s=0.0)
    run_on = threading.Timer(0.3, lambda: stage.stream(events_of(USER, NOW_MS + 7), shard))
    run_on.start()
    wait_for_shards(stores, erasure, timeout_s=60.0)
    run_on.join()
    erase_from_stores(stores, erasure)
    assert remains(stores, erasure) == dict.fromkeys(PLACES, 0)
    assert stage.features.read(SEQUENCES, [USER])["event_times_ms"].to_pylist() == [[NOW_MS + 7]]
    assert stores.archive.in_turn([USER])["event_time_ms"].to_pylist() == [NOW_MS + 7]


def test_what_a_fast_clock_dated_ahead_is_erased_too(stage: Stage) -> None:
    """Up to the newest event that there is; a user of whom nothing is known can be erased."""
    stage.stream(events_of(USER, NOW_MS + 60_000), stage.shard())
    stores = stage.stores
    erasure = note_erasure(stores, USER, NOW_MS)
    assert erasure.until_ms == NOW_MS + 60_000
    erase_from_checkpoints(stores, erasure)
    erase_from_stores(stores, erasure)
    assert remains(stores, erasure) == dict.fromkeys(PLACES, 0)
    unknown = note_erasure(stores, "it's nobody", NOW_MS)
    assert unknown.until_ms == NOW_MS
    erase_from_checkpoints(stores, unknown)
    erase_from_stores(stores, unknown)
    assert remains(stores, unknown) == dict.fromkeys(PLACES, 0)
