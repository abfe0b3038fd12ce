"""The archive gives each event once, as of a time, however often its parts were written."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.schemas import EVENT_SCHEMA
from streams.offline.events import EventArchive


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
    """An empty archive reads as an empty table, and so does one of an empty part."""
    assert archive.read().equals(EVENT_SCHEMA.empty_table())
    archive.append(EVENT_SCHEMA.empty_table(), "none")
    assert archive.read().equals(EVENT_SCHEMA.empty_table())


def test_events_are_read_by_time_with_all_their_columns(archive: EventArchive) -> None:
    """Parts come in any order; what is read is ordered and complete."""
    archive.append(events(("c", 30), ("a", 10)), "second")
    archive.append(events(("b", 20, "jar")), "first")
    assert archive.read().equals(events(("a", 10), ("b", 20, "jar"), ("c", 30)))


def test_the_same_part_again_replaces_itself(archive: EventArchive, tmp_path: Path) -> None:
    """A repeated step leaves one part, and no unfinished file."""
    archive.append(events(("a", 10)), "part")
    archive.append(events(("a", 10), ("b", 20)), "part")
    assert contents(archive.read()) == [("a", 10), ("b", 20)]
    assert [file.name for file in tmp_path.rglob("*.parquet*")] == ["part.parquet"]
    assert list(tmp_path.rglob("*.new")) == []


def test_a_reader_in_the_middle_of_a_change_sees_the_old_part(
    archive: EventArchive, tmp_path: Path
) -> None:
    """The new part is another file under the same name: an open one does not change."""
    archive.append(events(("a", 10)), "part")
    (file,) = tmp_path.rglob("*.parquet")
    before = file.read_bytes()
    with file.open("rb") as reader:
        archive.append(events(("b", 20)), "part")
        assert reader.read() == before


def test_an_unfinished_part_is_not_read(archive: EventArchive, tmp_path: Path) -> None:
    """A crash while writing leaves a piece that readers do not see."""
    archive.append(events(("a", 10)), "part")
    (tmp_path / "made" / "when needed" / ".other.99999.new").write_bytes(b"PAR1")
    assert contents(archive.read()) == [("a", 10)]


def test_an_event_in_two_parts_is_read_once_as_its_latest_content(archive: EventArchive) -> None:
    """Duplicates vanish; of two contents under one id the later in time stays, as in the merge."""
    archive.append(events(("a", 20, "new"), ("b", 15)), "x")
    archive.append(events(("a", 10, "old"), ("b", 15)), "y")
    assert archive.read().equals(events(("b", 15), ("a", 20, "new")))


def test_the_past_is_read_as_it_was_then(archive: EventArchive) -> None:
    """`before_ms` is exclusive, and an event that was moved later is seen where it was before."""
    archive.append(events(("a", 10), ("b", 20), ("c", 30)), "x")
    archive.append(events(("a", 25)), "y")
    assert contents(archive.read(before_ms=10)) == []
    assert contents(archive.read(before_ms=20)) == [("a", 10)]
    assert contents(archive.read(before_ms=21)) == [("a", 10), ("b", 20)]
    assert contents(archive.read(before_ms=26)) == [("b", 20), ("a", 25)]


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), max_size=30),
    num_parts=st.integers(1, 4),
    before_ms=st.none() | st.integers(0, 10),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=50)
def test_any_split_and_repetition_reads_as_the_latest_of_each_id(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, int]],
    num_parts: int,
    before_ms: int | None,
    seed: int,
) -> None:
    """Dealt out over parts, some rows twice: the plain definition holds."""
    archive = EventArchive(tmp_path_factory.mktemp("archive"))
    dealt = random.Random(seed).sample(rows + rows[::2], k=len(rows) + len(rows[::2]))
    for part in range(num_parts):
        archive.append(events(*dealt[part::num_parts]), f"part{part}")
    latest: dict[str, int] = {}
    for name, time_ms in rows:
        if before_ms is None or time_ms < before_ms:
            latest[name] = max(time_ms, latest.get(name, 0))
    found = contents(archive.read(before_ms))
    assert dict(found) == latest
    assert len(found) == len(latest)
    assert [time for _, time in found] == sorted(latest.values())
