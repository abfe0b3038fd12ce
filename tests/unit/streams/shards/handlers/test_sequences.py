"""The handler of sequences: what it reads back, logs ahead, writes and keeps."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences import state
from streams.feature_store.memory import MemoryFeatures
from streams.log.ports import Partition
from streams.offline.events import ARCHIVED_SCHEMA
from streams.offline.tables import Commit
from streams.shards.handlers.port import Arrivals
from streams.shards.handlers.sequences import SequenceHandler
from tests.unit.streams.shards.shared import arrivals

PARTITION = Partition("events", 0)
OTHER = Partition("events", 1)
COMMIT, LATER = Commit("events-0", 1), Commit("events-0", 2)


class FakeArchive:
    """Events by the version of their commit."""

    def __init__(self) -> None:
        self.parts: dict[int, pa.Table] = {}

    def append(self, events: pa.Table, commit: Commit) -> None:
        self.parts[commit.version] = events


class FakeLog:
    """What was logged ahead, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple[Partition, str, list[str]]] = []
        self.rows: list[pa.Table] = []

    def append_wal(self, partition: Partition, handler: str, rows: pa.Table) -> None:
        self.entries.append((partition, handler, rows["user_id"].to_pylist()))
        self.rows.append(rows)


class World:
    """The ports of a handler, which outlive it."""

    def __init__(self, store: MemoryFeatures) -> None:
        self.store = store
        self.archive = FakeArchive()
        self.wal = FakeLog()

    def handler(self, rows: pa.Table | None = None) -> SequenceHandler:
        handler = SequenceHandler(self.store, self.archive, self.wal, max_events=3, max_users=9)
        handler.restore(PARTITION, rows)
        return handler

    def online(self) -> dict[str, list[str]]:
        rows = self.store.online.get(SEQUENCES.name, {}).values()
        return {row["user_id"]: row["item_ids"] for row in rows}


@pytest.fixture
def world(store: MemoryFeatures) -> World:
    return World(store)


def events(*seen: tuple[str, str, int]) -> pa.Table:
    """Views given as (user, item, time)."""
    rows = [
        dict(zip(EVENT_SCHEMA.names, [f"{u}{t}", u, i, "view", t, 1.0], strict=True))
        for u, i, t in seen
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def at(table: pa.Table, partition: Partition = PARTITION, offset: int = 0) -> Arrivals:
    return arrivals(table, partition, offset)


def test_nothing_is_online_before_it_is_written(world: World) -> None:
    """Applied in any order, written in order of time; a repeated event is not accepted."""
    handler = world.handler()
    assert handler.apply(at(events(("ann", "b", 2), ("ann", "a", 1)))) == 2
    assert handler.apply(at(events(("ann", "b", 2), ("bob", "c", 1)))) == 1
    assert world.online() == {}
    handler.write()
    assert world.online() == {"ann": ["a", "b"], "bob": ["c"]}


def test_a_user_is_looked_up_and_logged_before_the_first_merge(world: World) -> None:
    """What the store held is merged; the log has it first, and each user once."""
    first = world.handler()
    first.apply(at(events(("ann", "a", 1))))
    first.write()
    handler = world.handler()
    handler.apply(at(events(("ann", "b", 2), ("bob", "c", 1))))
    handler.apply(at(events(("ann", "d", 3))))
    handler.write()
    assert world.online()["ann"] == ["a", "b", "d"]
    assert world.wal.entries[1:] == [(PARTITION, "sequences", ["ann", "bob"])]
    assert world.wal.rows[1].column("item_ids").to_pylist() == [["a"], []]


def test_after_a_crash_the_log_answers_instead_of_the_store(world: World) -> None:
    """The repetition starts from what the lost shard found, not from what it wrote."""
    lost = world.handler()
    lost.apply(at(events(("ann", "a", 1))))
    lost.write()
    handler = world.handler(world.wal.rows[0])
    assert handler.apply(at(events(("ann", "a", 1)))) == 1
    assert len(world.wal.entries) == 1


def test_the_rows_of_a_checkpoint_restore_it(world: World) -> None:
    """Kept rows come back as state; the next checkpoint has only what changed since."""
    handler = world.handler()
    handler.apply(at(events(("ann", "a", 1), ("bob", "c", 1))))
    rows = handler.checkpoint(PARTITION, COMMIT)
    assert rows.schema == SEQUENCE_SCHEMA
    restored = world.handler(rows)
    assert restored.apply(at(events(("ann", "a", 1)))) == 0
    restored.apply(at(events(("bob", "d", 2))))
    assert restored.checkpoint(PARTITION, LATER)["user_id"].to_pylist() == ["bob"]


def test_a_checkpoint_appends_what_came_since_the_last_one(world: World) -> None:
    """Events of its own partition, once, with their arrival."""
    handler = world.handler()
    handler.restore(OTHER, None)
    handler.apply(at(events(("ann", "a", 1))))
    handler.apply(at(events(("bob", "c", 1)), OTHER))
    handler.checkpoint(PARTITION, COMMIT)
    handler.apply(at(events(("ann", "b", 2), ("ann", "b", 2)), offset=5))
    handler.checkpoint(PARTITION, LATER)
    parts = {part: rows["event_id"].to_pylist() for part, rows in world.archive.parts.items()}
    assert parts == {1: ["ann1"], 2: ["ann2", "ann2"]}
    arrivals = world.archive.parts[2].select(["partition", "epoch", "log_offset"]).to_pylist()
    assert [tuple(row.values()) for row in arrivals] == [(0, 7, 5), (0, 7, 6)]


def test_a_checkpoint_follows_what_outlives_a_power_cut(world: World) -> None:
    """The position is kept durably afterwards, so what it stands for must be."""
    handler = world.handler()
    handler.apply(arrivals(events(("ann", "mug", 1)), PARTITION))
    handler.write()
    assert world.store.num_writes_synced == 0
    handler.checkpoint(PARTITION, COMMIT)
    assert world.store.num_writes_synced == world.store.num_writes == 1


def test_a_checkpoint_without_events_is_empty(world: World) -> None:
    """A position can move with nothing applied: no error, no rows, and the columns stay."""
    handler = world.handler()
    handler.write()
    assert handler.checkpoint(PARTITION, COMMIT).equals(SEQUENCE_SCHEMA.empty_table())
    assert world.archive.parts[1].equals(ARCHIVED_SCHEMA.empty_table())


def test_a_state_of_nobody_can_be_restored(world: World) -> None:
    """The checkpoint of a partition in which nothing good has come has no rows."""
    rows = world.handler().checkpoint(PARTITION, COMMIT)
    assert world.handler(rows).apply(at(events(("ann", "a", 1)))) == 1


def test_records_that_were_all_bad_change_nothing(world: World) -> None:
    """An empty table is applied like any other."""
    handler = world.handler()
    assert handler.apply(at(events())) == 0
    handler.write()
    assert world.online() == {}
    assert world.wal.entries == []


def test_names_of_items_that_nobody_has_any_more_are_let_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or memory would grow with every item there ever was, and every id that somebody made up."""
    monkeypatch.setattr(state, "FEW_NAMES", 10)
    handler = world.handler()
    for turn in range(20):
        handler.apply(at(events(*[("ann", f"i{10 * turn + n}", 10 * turn + n) for n in range(10)])))
        handler.write()
        handler.checkpoint(PARTITION, Commit("a", turn))
    assert len(handler._states[PARTITION]._items) <= 2 * 3 + 10
    assert world.online() == {"ann": ["i197", "i198", "i199"]}
    assert handler.apply(at(events(("ann", "i199", 199)))) == 0
