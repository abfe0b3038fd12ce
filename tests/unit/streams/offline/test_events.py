"""The archive gives each event once, as of a time, however often it was appended."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.as_of import sequences_before
from reaseq.sequences.oracle import newest_distinct_events
from streams.offline import events as module
from streams.offline.events import EventArchive, arrived, as_history
from streams.offline.tables import Commit


def events(*rows: tuple[str, int] | tuple[str, int, str]) -> pa.Table:
    """Events given as (id, time) or (id, time, item)."""
    columns: list[dict[str, Any]] = [
        {
            "event_id": row[0],
            "user_id": "ann",
            "item_id": row[2] if len(row) > 2 else "mug",
            "event_type": "view",
            "event_time_ms": row[1],
            "value": None,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(columns, schema=EVENT_SCHEMA)


def contents(table: pa.Table) -> list[tuple[str, int]]:
    ids, times = table["event_id"].to_pylist(), table["event_time_ms"].to_pylist()
    return list(zip(ids, times, strict=True))


@pytest.fixture
def archive(tmp_path: Path) -> EventArchive:
    return EventArchive(tmp_path / "made" / "when needed")


def test_nothing_was_archived_yet(archive: EventArchive) -> None:
    """An empty archive reads as an empty table, and so does one that nothing was added to."""
    assert archive.read().equals(EVENT_SCHEMA.empty_table())
    archive.append(as_history(EVENT_SCHEMA.empty_table()), Commit("none"))
    assert archive.read().equals(EVENT_SCHEMA.empty_table())
    assert archive.num_rows() == 0


def test_events_are_read_by_time_with_all_their_columns(archive: EventArchive) -> None:
    """Appends come in any order; what is read is ordered and complete."""
    archive.append(as_history(events(("c", 30), ("a", 10))), Commit("one"))
    archive.append(as_history(events(("b", 20, "jar"))), Commit("other"))
    assert archive.read().equals(events(("a", 10), ("b", 20, "jar"), ("c", 30)))
    assert archive.num_rows() == 3


def test_a_repeated_commit_adds_nothing(archive: EventArchive) -> None:
    """A step that was done up to an offset is done up to every earlier one."""
    archive.append(as_history(events(("a", 10), ("b", 20))), Commit("shard", 7))
    archive.append(as_history(events(("a", 10), ("b", 20))), Commit("shard", 7))
    archive.append(as_history(events(("a", 10))), Commit("shard", 6))
    assert archive.num_rows() == 2


def test_an_event_that_came_twice_is_read_once_as_its_latest_content(archive: EventArchive) -> None:
    """Duplicates vanish; of two contents under one id the later in time stays, as in the merge."""
    archive.append(as_history(events(("a", 20, "new"), ("b", 15))), Commit("x"))
    archive.append(as_history(events(("a", 10, "old"), ("b", 15))), Commit("y"))
    assert archive.read().equals(events(("b", 15), ("a", 20, "new")))


def test_two_users_may_use_one_id(archive: EventArchive) -> None:
    """An event is named by its user and its id, as in the merge."""
    mine = events(("a", 10))
    theirs = mine.set_column(1, EVENT_SCHEMA.field("user_id"), pa.array(["bob"]))
    archive.append(as_history(pa.concat_tables([theirs, mine])), Commit("x"))
    assert archive.read().equals(pa.concat_tables([mine, theirs]))


def test_the_past_is_read_as_it_was_then(archive: EventArchive) -> None:
    """`before_ms` is exclusive, and an event that was moved later is seen where it was before."""
    archive.append(as_history(events(("a", 10), ("b", 20), ("c", 30))), Commit("x"))
    archive.append(as_history(events(("a", 25))), Commit("y"))
    assert contents(archive.read(before_ms=10)) == []
    assert contents(archive.read(before_ms=20)) == [("a", 10)]
    assert contents(archive.read(before_ms=21)) == [("a", 10), ("b", 20)]
    assert contents(archive.read(before_ms=26)) == [("b", 20), ("a", 25)]


# Few of everything, so that ids meet with contents that differ in any one column.
any_event = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from("ab"),
        "user_id": st.sampled_from(["ann", "bob"]),
        "item_id": st.sampled_from(["mug", "jar", "vase"]),
        "event_type": st.sampled_from([event_type.value for event_type in EventType]),
        "event_time_ms": st.integers(0, 3),
        "value": st.sampled_from([None, 0.0, -0.0, 1.5, -1.5, -2.5]),
    }
)


@given(
    rows=st.lists(any_event, max_size=24),
    num_appends=st.integers(1, 3),
    before_ms=st.none() | st.integers(0, 4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_any_split_and_repetition_reads_as_the_merge_keeps_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    num_appends: int,
    before_ms: int | None,
    seed: int,
) -> None:
    """Spread over appends, some rows twice: the contents that the plain definition keeps."""
    archive = EventArchive(tmp_path_factory.mktemp("archive"))
    spread = random.Random(seed).sample(rows + rows[::2], k=len(rows) + len(rows[::2]))
    for number in range(num_appends):
        added = pa.Table.from_pylist(spread[number::num_appends], schema=EVENT_SCHEMA)
        archive.append(as_history(added), Commit(f"append{number}"))
    known = [row for row in rows if before_ms is None or row["event_time_ms"] < before_ms]
    expected = newest_distinct_events(pa.Table.from_pylist(known, schema=EVENT_SCHEMA), 100)
    found = archive.read(before_ms)
    assert newest_distinct_events(found, 100) == expected
    assert found.num_rows == sum(len(kept) for kept in expected.values())
    place = ("event_time_ms", "user_id", "event_id")
    assert found.to_pylist() == sorted(found.to_pylist(), key=lambda row: [row[n] for n in place])


def test_everybody_who_did_something_is_known(archive: EventArchive) -> None:
    """Each once, in order; and what everybody's sequence is, or was before a moment."""
    assert archive.users() == []
    assert archive.sequences(10).equals(SEQUENCE_SCHEMA.empty_table())
    mine = events(("a", 10), ("b", 20))
    theirs = mine.set_column(1, EVENT_SCHEMA.field("user_id"), pa.array(["bob"] * 2))
    archive.append(as_history(pa.concat_tables([theirs, mine])), Commit("x"))
    assert archive.users() == ["ann", "bob"]
    assert archive.sequences(10)["event_times_ms"].to_pylist() == [[10, 20]] * 2
    assert archive.sequences(1)["event_times_ms"].to_pylist() == [[20]] * 2
    assert archive.sequences(10, before_ms=20)["event_times_ms"].to_pylist() == [[10]] * 2


@given(
    rows=st.lists(any_event, max_size=40),
    num_appends=st.integers(1, 3),
    labels_at_once=st.integers(1, 5),
    rows_a_batch=st.integers(1, 7),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_sequences_are_those_of_all_events_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    num_appends: int,
    labels_at_once: int,
    rows_a_batch: int,
    seed: int,
) -> None:
    """However the events lie in the table, and in however many parts the labels are answered."""
    archive = EventArchive(tmp_path_factory.mktemp("archive"))
    log = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
    offsets = np.arange(log.num_rows)
    for number in random.Random(seed).sample(range(num_appends), k=num_appends):
        mine = offsets[number::num_appends]
        part = arrived(log.take(mine), 0, 1, mine)
        archive.append(part, Commit(f"append{number}"))
    labels = pa.Table.from_pylist(
        [
            {"user_id": user, "label_time_ms": time, "label_item_ids": []}
            for user in ("bob", "zoe", "ann", "bob")
            for time in range(5)
        ],
        schema=ORDER_SCHEMA,
    )
    expected = sequences_before(log, labels, 3, by_arrival=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LABELS_AT_ONCE", labels_at_once)
        patch.setattr(module, "ROWS_A_BATCH", rows_a_batch)
        found = archive.sequences_before(labels, 3)
    assert repr(found.to_pylist()) == repr(expected.to_pylist())
