"""A checkpoint is the old one or the new one, and a note is whole or was never written."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Counters, Progress

PARTITION = Partition("reaseq.events", 3)
OTHER = Partition("reaseq.events", 4)
PROGRESS = Progress(
    next_offset=7,
    epoch="e1",
    counters=Counters(num_records=9, num_accepted=5, num_dead_letters=2),
    saved_at_ms=11,
    newest_event_time_ms=13,
    freshness_p50_ms=1.5,
    freshness_p99_ms=2.5,
)


def rows(*names: str) -> pa.Table:
    return pa.table({"user_id": pa.array(names, pa.string()), "times": [[1, 2]] * len(names)})


def names(checkpoint: Checkpoint | None) -> list[str]:
    assert checkpoint is not None
    assert checkpoint.rows is not None
    found: list[str] = checkpoint.rows["user_id"].to_pylist()
    return found


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "made" / "when needed")


def notes_file(folder: Path) -> Path:
    (file,) = folder.rglob("*.notes")
    return file


def test_what_is_saved_is_loaded_by_another_process(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Progress and rows come back whole; another partition knows nothing of them."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann", "bob")))
    loaded = Checkpoints(tmp_path / "made" / "when needed").load(PARTITION)
    assert loaded is not None
    assert loaded.progress == PROGRESS
    assert loaded.rows is not None
    assert loaded.rows.equals(rows("ann", "bob"))
    assert checkpoints.load(OTHER) is None
    assert checkpoints.progress(OTHER) is None


def test_a_shard_without_state_keeps_its_progress(checkpoints: Checkpoints) -> None:
    """No rows are not zero rows: the state comes back as none."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, None))
    assert checkpoints.load(PARTITION) == Checkpoint(PROGRESS, None)
    assert checkpoints.progress(PARTITION) == PROGRESS


def test_a_state_of_no_users_keeps_its_columns(checkpoints: Checkpoints) -> None:
    """An empty table is a state, and a note joins it."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows()))
    loaded = checkpoints.load(PARTITION)
    assert loaded is not None
    assert loaded.rows is not None
    assert loaded.rows.schema == rows().schema


def test_a_new_checkpoint_replaces_the_old_and_its_notes(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """One file a partition, nothing unfinished beside it."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann")))
    checkpoints.note(PARTITION, rows("bob"))
    checkpoints.save(PARTITION, Checkpoint(Progress(next_offset=8), rows("cid")))
    assert names(checkpoints.load(PARTITION)) == ["cid"]
    assert [file.name for file in tmp_path.rglob("*.*")] == ["reaseq.events-3.parquet"]


@pytest.mark.parametrize("num_bytes", [0, 4, 100])
def test_a_crash_while_saving_leaves_the_old_checkpoint(
    checkpoints: Checkpoints, tmp_path: Path, num_bytes: int
) -> None:
    """The unfinished file of a dead process is not looked at, however much of it was written."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann")))
    (file,) = tmp_path.rglob("*.parquet")
    file.with_suffix(".99999.new").write_bytes(file.read_bytes()[:num_bytes])
    assert names(checkpoints.load(PARTITION)) == ["ann"]
    assert checkpoints.progress(PARTITION) == PROGRESS


def test_a_reader_in_the_middle_of_a_change_sees_the_old_file(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """The new checkpoint is another file under the same name: an open one does not change."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann")))
    (file,) = tmp_path.rglob("*.parquet")
    before = file.read_bytes()
    with file.open("rb") as reader:
        checkpoints.save(PARTITION, Checkpoint(Progress(next_offset=8), rows("bob")))
        assert reader.read() == before
        assert os.fstat(reader.fileno()).st_ino != file.stat().st_ino


def test_notes_follow_the_state_in_the_order_they_were_made(checkpoints: Checkpoints) -> None:
    """The state comes first, because a note may outlive the checkpoint that holds it already."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann")))
    checkpoints.note(PARTITION, rows("bob"))
    checkpoints.note(PARTITION, rows("cid", "dan"))
    checkpoints.note(OTHER, rows("eve"))
    assert names(checkpoints.load(PARTITION)) == ["ann", "bob", "cid", "dan"]
    assert checkpoints.progress(PARTITION) == PROGRESS


def test_notes_are_enough_where_the_checkpoint_has_no_rows(checkpoints: Checkpoints) -> None:
    """The first checkpoint of a shard is empty, and its first crash may come before the second."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, None))
    checkpoints.note(PARTITION, rows("ann"))
    assert names(checkpoints.load(PARTITION)) == ["ann"]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_torn_note_is_forgotten_and_the_next_ones_are_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut at any byte: whole notes stay, the torn one goes, later ones follow, thrice."""
    folder = tmp_path_factory.mktemp("torn")
    checkpoints = Checkpoints(folder)
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, rows("ann")))
    expected = ["ann"]
    for number in range(3):
        checkpoints.note(PARTITION, rows(f"whole{number}"))
        expected.append(f"whole{number}")
        file = notes_file(folder)
        start = file.stat().st_size
        checkpoints.note(PARTITION, rows(f"torn{number}"))
        os.truncate(file, data.draw(st.integers(start, file.stat().st_size - 1)))
        assert names(Checkpoints(folder).load(PARTITION)) == expected


def test_counters_add_up() -> None:
    """What is new is added to each count by itself."""
    assert Counters(1, 2, 3).plus(10, 20, 30) == Counters(11, 22, 33)
