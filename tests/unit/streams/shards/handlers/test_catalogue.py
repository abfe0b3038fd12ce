"""The catalogue shows the newest description of an item, in whatever order they arrive."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.feature_views import ITEMS
from reaseq.schemas import ITEM_SCHEMA
from streams.feature_store.memory import MemoryFeatures
from streams.log.ports import Partition
from streams.offline.tables import Commit
from streams.shards.handlers.catalogue import CatalogueHandler, newest_descriptions
from tests.unit.streams.shards.shared import arrivals

PARTITION = Partition("reaseq.items", 0)
OTHER = Partition("reaseq.items", 1)

descriptions = st.lists(
    st.tuples(st.sampled_from(["mug", "jar"]), st.integers(0, 4)), max_size=12
).map(lambda pairs: [(item, time_ms, f"title{n}") for n, (item, time_ms) in enumerate(pairs)])


def items(*rows: tuple[str, int, str]) -> pa.Table:
    """Items given as (id, time, title)."""
    names = ("item_id", "event_time_ms", "title")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], ITEM_SCHEMA)


def online(store: MemoryFeatures) -> dict[str, tuple[int, str]]:
    """What the catalogue shows: time and title by item."""
    rows = store.online[ITEMS.name]
    return {item: (row["event_time_ms"], row["title"]) for item, row in rows.items()}


@given(rows=descriptions)
def test_the_newest_description_wins_and_of_equal_ones_the_last(
    rows: list[tuple[str, int, str]],
) -> None:
    """One row per item: a stable sort by time gives the same."""
    newest = newest_descriptions(items(*rows))
    assert newest.schema == ITEM_SCHEMA
    found = {row["item_id"]: row["title"] for row in newest.to_pylist()}
    assert found == {item: title for item, _, title in sorted(rows, key=lambda row: row[1])}
    assert newest.num_rows == len(found)


@given(rows=descriptions, cut=st.integers(0, 12))
def test_steps_of_any_size_end_in_the_same_catalogue(
    rows: list[tuple[str, int, str]], cut: int
) -> None:
    """Cut in two steps, repeated after a crash, the store holds what one step gives."""
    store = MemoryFeatures()
    handler = CatalogueHandler(store)
    handler.restore(PARTITION, None)
    for step in (rows[:cut], rows[cut:], rows):
        assert handler.apply(arrivals(items(*step), PARTITION)) == len(step)
        handler.write()
    expected = {item: (time, title) for item, time, title in sorted(rows, key=lambda r: r[1])}
    assert online(store) == expected


def test_nothing_is_written_for_nothing() -> None:
    """A step of only bad records leaves the store alone, and a description is written once."""
    store = MemoryFeatures()
    handler = CatalogueHandler(store)
    handler.apply(arrivals(items(), PARTITION))
    handler.write()
    assert store.num_writes == 0
    handler.apply(arrivals(items(("mug", 1, "Mug")), PARTITION))
    handler.write()
    handler.apply(arrivals(items(), PARTITION))
    handler.write()
    assert store.num_writes == 1


def test_a_checkpoint_keeps_every_description_of_its_own_partition_offline() -> None:
    """Offline is history: all versions, once."""
    store = MemoryFeatures()
    handler = CatalogueHandler(store)
    handler.apply(arrivals(items(("mug", 2, "new"), ("mug", 1, "old")), PARTITION))
    handler.apply(arrivals(items(("jar", 1, "jar")), OTHER))
    handler.write()
    handler.checkpoint(PARTITION, Commit("items-0", 2))
    assert [row["title"] for row in store.offline[ITEMS.name]] == ["new", "old"]
    handler.checkpoint(OTHER, Commit("items-1", 1))
    handler.checkpoint(PARTITION, Commit("items-0", 3))
    assert [row["title"] for row in store.offline[ITEMS.name]] == ["new", "old", "jar"]


def test_a_checkpoint_without_items_is_empty() -> None:
    """A position can move with nothing applied; there is no state either way."""
    store = MemoryFeatures()
    handler = CatalogueHandler(store)
    handler.restore(PARTITION, None)
    assert handler.checkpoint(PARTITION, Commit("items-0", 1)) is None
    assert store.offline[ITEMS.name] == []
