"""`streams.verification`: each way in which something served can differ is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.state import SequenceState
from streams.erasure.erased_users import ErasedUsersTable
from streams.feature_store.memory import MemoryFeatures
from streams.log.memory import MemoryLog
from streams.log.ports import Topic
from streams.offline.events import EventArchive, arrived
from streams.offline.tables import Commit
from streams.verification.causes import Cause
from streams.verification.online import Mismatch, OnlineCheck
from streams.verification.served import newest_served, served_mismatches, still_there

MAX_EVENTS = 5


def make_events(num_events: int, seed: int = 0, num_users: int = 4) -> pa.Table:
    rng = random.Random(seed)
    rows = [
        {
            "event_id": f"{seed}-{rng.randrange(num_events)}",
            "user_id": f"u{rng.randrange(num_users)}",
            "item_id": f"i{rng.randrange(9)}",
            "event_type": rng.choice(["view", "purchase"]),
            "event_time_ms": 1_300_000_000_000 + rng.randrange(1000),
            "value": rng.choice([None, 1.5]),
        }
        for _ in range(num_events)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


class Stage:
    """An archive and a store, filled from the same events in the same order, in parts."""

    def __init__(self, folder: Path) -> None:
        self.archive = EventArchive(folder / "events")
        self.features = MemoryFeatures()
        self.state = SequenceState(MAX_EVENTS)
        self._next_offset = 0

    def take(self, events: pa.Table, archive: bool = True, online: bool = True) -> None:
        """As a shard does with one batch, or half of it."""
        offsets = np.arange(self._next_offset, self._next_offset + len(events))
        self._next_offset += len(events)
        if archive:
            commit = Commit("shard", self._next_offset)
            self.archive.append(arrived(events, 0, 1, offsets), commit)
        merged = self.state.merge(events)
        if online:
            self.features.write(SEQUENCES, self.state.rows(merged.slots))

    def online(self, users: list[str] | None = None) -> list[Mismatch]:
        check = OnlineCheck(self.archive, self.features, MAX_EVENTS)
        return check.mismatches(users or self.archive.users())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_what_the_events_make_of_it_is_no_mismatch(stage: Stage, seed: int) -> None:
    """Sequences that are full and not, with values and without, some events doubled."""
    for number in range(3):
        stage.take(make_events(40, 10 * seed + number))
    assert stage.online() == []


def only(causes: list[Mismatch]) -> set[Cause]:
    return {one.cause for one in causes}


def test_a_user_whom_the_store_lost_is_missing(stage: Stage) -> None:
    """Alone among others."""
    stage.take(make_events(40))
    del stage.features.online[SEQUENCES.name]["u1"]
    assert stage.online() == [Mismatch("u1", Cause.MISSING)]


def test_a_store_that_lost_writes_lacks_events(stage: Stage) -> None:
    """Whether the sequence was full before or not."""
    stage.take(make_events(30, 1, num_users=2))
    stage.take(make_events(4, 1, num_users=4))
    later = make_events(30, 2)
    later = later.set_column(
        4, EVENT_SCHEMA.field(4), pa.array([1_400_000_000_000 + n for n in range(30)])
    )
    stage.take(later, online=False)
    assert only(stage.online()) <= {Cause.BEHIND, Cause.MISSING}
    assert Mismatch("u0", Cause.BEHIND) in stage.online()


def test_a_store_that_ran_ahead_holds_events_that_the_archive_lacks(stage: Stage) -> None:
    """A stream that ended between the store and its checkpoint."""
    stage.take(make_events(10, 1))
    stage.take(make_events(30, 2), archive=False)
    assert only(stage.online()) == {Cause.AHEAD}


@pytest.mark.parametrize(
    ("column", "value"),
    [("item_ids", "other"), ("event_types", "return"), ("event_values", 99.0)],
)
def test_other_content_is_named(stage: Stage, column: str, value: object) -> None:
    """Of an item, a type, a value."""
    stage.take(make_events(40))
    row = stage.features.online[SEQUENCES.name]["u2"]
    row[column] = [value, *row[column][1:]]
    assert stage.online() == [Mismatch("u2", Cause.CONTENT)]


def test_who_differs_is_looked_at_again(stage: Stage) -> None:
    """A stream writes to the store first; what is archived before the last look is no mismatch."""
    stage.take(make_events(10, 1))
    more = make_events(30, 2)
    stage.take(more, archive=False)
    waits: list[int] = []

    def wait() -> None:
        waits.append(1)
        stage.archive.append(arrived(more, 0, 1, np.arange(10, 40)), Commit("late"))

    check = OnlineCheck(stage.archive, stage.features, MAX_EVENTS)
    done: list[int] = []
    users = stage.archive.users()
    assert check.mismatches(users, num_looks=3, wait=wait, progress=done.append) == []
    assert waits == [1]
    assert sum(done) == len(users)


Change = Callable[[dict[str, list[object]]], None]


class Impressions:
    """A topic of impressions of the sequences that a stage serves."""

    def __init__(self, stage: Stage) -> None:
        self.log = MemoryLog()
        self.log.create_topics([Topic("impressions", 2)])
        self._stage = stage
        self._clock = 0

    def serve(
        self, user: str, change: Callable[[dict[str, list[object]]], None] | None = None
    ) -> None:
        """Log an impression of what is online now, changed if need be."""
        self._clock += 1
        row = self._stage.features.read(SEQUENCES, [user]).to_pylist()
        features = row[0] if row else None
        if change and features:
            change(features)
        content = {"user_id": user, "served_at_ms": self._clock, "features": features, "k": 1}
        self.put(msgspec.json.encode(content), user.encode())

    def put(self, value: bytes, key: bytes) -> None:
        self.log.writer().send("impressions", value, key)

    def mismatches(self, num: int = 1000) -> list[Mismatch]:
        served = newest_served(self.log, "impressions", num)
        return served_mismatches(self._stage.archive, served, MAX_EVENTS)


@pytest.fixture
def impressions(stage: Stage) -> Impressions:
    return Impressions(stage)


@pytest.mark.parametrize("seed", range(5))
def test_what_was_served_at_any_time_is_found_in_the_replay(
    stage: Stage, impressions: Impressions, seed: int
) -> None:
    """Though the users have done more since; strangers and foreign records count for nothing."""
    for number in range(4):
        stage.take(make_events(20, 10 * seed + number))
        for user in ("u0", "u1", "u2", "u3", "nobody"):
            impressions.serve(user)
        impressions.put(b"{", b"x")
    assert impressions.mismatches() == []


def test_what_the_events_never_made_is_named(stage: Stage, impressions: Impressions) -> None:
    """An event is missing in the middle: no replay ever held that."""
    stage.take(make_events(60))
    impressions.serve("u0")

    def forget(row: dict[str, list[object]]) -> None:
        for name, values in row.items():
            if isinstance(values, list):
                row[name] = [*values[:1], *values[2:]]

    impressions.serve("u1", forget)
    assert impressions.mismatches() == [Mismatch("u1", Cause.NEVER)]


def test_what_was_served_from_events_that_nobody_archived_is_named(
    stage: Stage, impressions: Impressions
) -> None:
    """Of a user whom the archive knows, and of one whom it does not."""
    stage.take(make_events(20, 1, num_users=2))
    stage.take(make_events(60, 2, num_users=3), archive=False)
    for user in ("u0", "u1", "u2"):
        impressions.serve(user)
    assert sorted(impressions.mismatches()) == [
        Mismatch(user, Cause.AHEAD) for user in ("u0", "u1", "u2")
    ]


def test_only_the_newest_impressions_are_looked_at(stage: Stage, impressions: Impressions) -> None:
    """By when they were served, over all partitions."""
    stage.take(make_events(20, 1, num_users=2))
    stage.take(make_events(60, 2, num_users=2), archive=False)
    for user in ("u0", "u1", "u0"):
        impressions.serve(user)
    assert len(impressions.mismatches(2)) == 2
    assert impressions.mismatches(0) == []


def test_what_was_served_to_someone_erased_since_counts_for_nothing(
    stage: Stage, impressions: Impressions, tmp_path: Path
) -> None:
    """Of the same user what is of later events alone does."""
    stage.take(make_events(40, 1, num_users=2))
    for user in ("u0", "u1"):
        impressions.serve(user)
    served = newest_served(impressions.log, "impressions", 10)
    erased = ErasedUsersTable(tmp_path / "erased")
    assert still_there(served, erased) == served
    (theirs,) = [one for one in served if one.user_id == "u0"]
    times_ms = [event.event_time_ms for event in theirs.sequence]
    erased.add("u0", min(times_ms) - 1)
    assert still_there(served, erased) == served
    erased.add("u0", min(times_ms))
    assert [one.user_id for one in still_there(served, erased)] == ["u1"]
