"""An append is there once, whatever is repeated, whoever else appends, whenever it is compacted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.offline import tables
from streams.offline.tables import MAX_SMALL_FILES, Commit, OfflineTable, is_text

ROOT = Path(__file__).parents[4]
SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("items", pa.list_(pa.string()), nullable=False),
        pa.field("number", pa.int64()),
    ]
)


def rows(*numbers: int, user: str = "ann") -> pa.Table:
    """One row a number."""
    columns = [[user] * len(numbers), [[f"i{n}"] for n in numbers], list(numbers)]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, SCHEMA)


def numbers(table: OfflineTable) -> list[int]:
    return sorted(table.read(["number"])["number"].to_pylist())


@pytest.fixture
def table(tmp_path: Path) -> OfflineTable:
    return OfflineTable.create(tmp_path / "made" / "when needed", SCHEMA)


def test_rows_come_back_with_their_columns(table: OfflineTable) -> None:
    """Columns are matched by name and cast; a row is named by its append and its place there."""
    wide = rows(1, 2).cast(pa.schema([*list(SCHEMA)[:2], ("number", pa.int32())]))
    assert table.append(wide.select(["number", "items", "user_id"]), Commit("a"))
    assert table.read(SCHEMA.names).cast(SCHEMA).equals(rows(1, 2))
    assert table.read(["number"], ds.field("number") > 1)["number"].to_pylist() == [2]
    named = table.read(["append_id", "append_row"])
    assert len(set(named["append_id"].to_pylist())) == 1
    assert named["append_row"].to_pylist() == [0, 1]
    assert (table.num_rows(), table.num_files()) == (2, 1)


def test_rows_that_do_not_fit_are_named(table: OfflineTable) -> None:
    """Nothing is appended, and the same commit may come again."""
    with pytest.raises(ValueError, match="number"):
        table.append(rows(1).drop_columns("number"), Commit("a"))
    assert table.append(rows(1), Commit("a"))


def test_a_table_is_made_once(tmp_path: Path) -> None:
    """Making it again keeps what is there; one that was never made cannot be used."""
    OfflineTable.create(tmp_path / "t", SCHEMA).append(rows(1), Commit("a"))
    assert numbers(OfflineTable.create(tmp_path / "t", SCHEMA)) == [1]
    with pytest.raises(ValueError, match="apply"):
        OfflineTable(tmp_path / "none").num_rows()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), max_size=12))
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_commit_counts_when_it_is_above_the_last_of_its_run(
    tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[str, int]]
) -> None:
    """In any sequence, by objects that know nothing of each other."""
    folder = tmp_path_factory.mktemp("table")
    OfflineTable.create(folder, SCHEMA)
    last: dict[str, int] = {}
    expected = []
    for place, (app_id, version) in enumerate(commits):
        is_new = version > last.get(app_id, -1)
        assert OfflineTable(folder).append(rows(place), Commit(app_id, version)) == is_new
        if is_new:
            last[app_id] = version
            expected.append(place)
    assert numbers(OfflineTable(folder)) == expected


def test_of_two_at_once_with_one_commit_one_is_there(table: OfflineTable, tmp_path: Path) -> None:
    """Both have looked and found it not done: the log decides, and the other is told."""
    other = OfflineTable(tmp_path / "made" / "when needed")
    real, written = other._write, []

    def overtaken(added: pa.Table) -> Any:
        written.append(table.append(rows(1), Commit("a", 1)))
        return real(added)

    other._write = overtaken  # type: ignore[method-assign]
    assert not other.append(rows(1), Commit("a", 1))
    assert written == [True]
    assert numbers(table) == [1]


def test_an_append_that_was_overtaken_by_a_later_version_is_not_added(
    table: OfflineTable, tmp_path: Path
) -> None:
    """A shard that was thought dead adds nothing behind its successor."""
    late = OfflineTable(tmp_path / "made" / "when needed")
    late.append(rows(0), Commit("a", 0))
    table.append(rows(1, 2), Commit("a", 2))
    assert not late.append(rows(1), Commit("a", 1))
    assert numbers(late) == [0, 1, 2]


WRITER = """
import sys
import pyarrow as pa
from streams.offline.tables import Commit, OfflineTable
from tests.unit.streams.offline.test_tables import SCHEMA, rows

folder, run = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
table = OfflineTable.create(folder, SCHEMA)
for version in range(25):
    table.append(rows(100 * run + version), Commit(f"run-{run}", version))
    table.append(rows(1000 + version), Commit("shared", version))
"""


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    """They make the table together; each one's rows are there once, and the common ones once."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "t"), str(run)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for run in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    expected = [*range(25), *range(100, 125)]
    found = numbers(OfflineTable(tmp_path / "t"))
    assert [n for n in found if n < 1000] == expected
    # Whoever is ahead takes the others' place: a version below the last is done, by definition.
    shared = [n for n in found if n >= 1000]
    assert shared == sorted(set(shared))
    assert shared[-1] == 1024


def test_threads_append_and_compact(
    table: OfflineTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two appending, two compacting at every moment: every row is there once."""
    monkeypatch.setattr(tables, "MAX_SMALL_FILES", 1)

    def append(first: int) -> None:
        for number in range(first, 60, 2):
            table.append(rows(number), Commit(f"run-{first}", number))

    appending = [threading.Thread(target=append, args=(first,)) for first in range(2)]

    def compact() -> None:
        own = OfflineTable(tmp_path / "made" / "when needed")
        while any(thread.is_alive() for thread in appending):
            own.compact()

    threads = [*appending, *(threading.Thread(target=compact) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(table) == list(range(60))


def test_a_compaction_that_another_does_is_left_to_it(
    table: OfflineTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once would double rows."""
    monkeypatch.setattr(tables, "MAX_SMALL_FILES", 1)
    for number in range(3):
        table.append(rows(number), Commit("a", number))
    with OfflineTable(tmp_path / "made" / "when needed")._only_compaction() as is_ours:
        assert is_ours
        assert not table.compact()
    assert table.compact()


def test_compaction_keeps_every_row_and_every_reader(table: OfflineTable) -> None:
    """Few files are left alone; of many one is made, and who began before reads on."""
    for number in range(MAX_SMALL_FILES):
        table.append(rows(number), Commit("a", number))
    assert not table.compact()
    table.append(rows(MAX_SMALL_FILES), Commit("a", MAX_SMALL_FILES))
    reader = table.dataset()
    before = table.read([*SCHEMA.names, "append_id", "append_row"])
    assert table.compact()
    assert table.num_files() == 1
    assert reader.to_table(["number"]).num_rows == MAX_SMALL_FILES + 1
    after = table.read([*SCHEMA.names, "append_id", "append_row"])
    assert after.sort_by("number").equals(before.sort_by("number"))
    assert not table.append(rows(7), Commit("a", 7))
    table.vacuum(0)
    assert numbers(table) == list(range(MAX_SMALL_FILES + 1))
    with pytest.raises(FileNotFoundError):
        reader.to_table()


@pytest.mark.parametrize("user", ["bob", "o'brien", "' OR ''='", "ünï\\"])
def test_a_deleted_user_is_gone(table: OfflineTable, tmp_path: Path, user: str) -> None:
    """From every read at once, and after a vacuum from the disk; others stay, repetitions too."""
    table.append(rows(1, 2), Commit("a"))
    table.append(pa.concat_tables([rows(3, user=user), rows(4)]), Commit("b"))
    assert table.delete(is_text("user_id", user)) == 1
    assert table.delete(is_text("user_id", user)) == 0
    assert numbers(table) == [1, 2, 4]
    assert not table.append(rows(3, user=user), Commit("b"))
    table.vacuum(0)
    files = [pa.parquet.read_table(file) for file in tmp_path.rglob("*.parquet")]
    assert all(user not in file["user_id"].to_pylist() for file in files)


def test_the_log_of_a_table_names_nobody(table: OfflineTable, tmp_path: Path) -> None:
    """Neither as the greatest value of a compacted file nor as who was deleted."""
    for number in range(MAX_SMALL_FILES + 2):
        table.append(rows(number, user="zz-unmistakable"), Commit("a", number))
    assert table.compact()
    assert table.delete(is_text("user_id", "zz-unmistakable")) == MAX_SMALL_FILES + 2
    table.vacuum(0)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 2
    assert not any(b"zz-unmistakable" in file.read_bytes() for file in files)


def test_a_text_is_found_in_files_that_were_rewritten(table: OfflineTable) -> None:
    """By a compaction or by a deletion of others in them, and deleted from there."""
    for number in range(MAX_SMALL_FILES + 1):
        parts = [rows(3 * number, user="ann"), rows(3 * number + 1, user="bob")]
        table.append(
            pa.concat_tables([*parts, rows(3 * number + 2, user="cid")]), Commit("a", number)
        )
    assert table.compact()
    for user in ("ann", "bob"):
        assert table.read(["number"], is_text("user_id", user)).num_rows == MAX_SMALL_FILES + 1
        assert table.delete(is_text("user_id", user)) == MAX_SMALL_FILES + 1
        assert table.read(["number"], is_text("user_id", user)).num_rows == 0
    assert table.num_rows() == MAX_SMALL_FILES + 1


def test_a_deletion_beside_appends_is_tried_again(table: OfflineTable, tmp_path: Path) -> None:
    """What others commit in between costs an attempt, not a row."""
    table.append(rows(1, user="bob"), Commit("a"))
    others = OfflineTable(tmp_path / "made" / "when needed")
    stop = threading.Event()

    def append() -> None:
        for number in range(2, 1000):
            if stop.is_set():
                return
            others.append(rows(number), Commit("others", number))

    thread = threading.Thread(target=append)
    thread.start()
    deleted = table.delete(is_text("user_id", "bob"))
    stop.set()
    thread.join()
    assert deleted == 1
    assert 1 not in numbers(table)
    assert others.num_rows() == len(numbers(table))


def test_others_read_the_table_as_it_is(table: OfflineTable, tmp_path: Path) -> None:
    """DuckDB over its files, and Delta Lake's own reader."""
    table.append(rows(1, 2), Commit("a"))
    files = [str(file) for file in tmp_path.rglob("*.parquet")]
    found = duckdb.sql(f"SELECT items FROM read_parquet({files}) ORDER BY number").fetchall()
    assert found == [(["i1"],), (["i2"],)]
    theirs = DeltaTable(tmp_path / "made" / "when needed").to_pyarrow_table()
    assert theirs.select(SCHEMA.names).cast(SCHEMA).equals(rows(1, 2))


def test_a_crash_before_the_commit_leaves_nothing(
    table: OfflineTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data file of an unfinished append is in no version; the repetition is whole."""
    with monkeypatch.context() as crash:
        crash.setattr(DeltaTable, "create_write_transaction", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            table.append(rows(1), Commit("a"))
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert numbers(OfflineTable(tmp_path / "made" / "when needed")) == []
    assert table.append(rows(1), Commit("a"))
    assert numbers(table) == [1]


def test_a_commit_that_a_power_cut_emptied_was_not_made(
    table: OfflineTable, tmp_path: Path
) -> None:
    """An empty entry of the log hides nothing, and its append is made again."""
    table.append(rows(1), Commit("a", 1))
    table.append(rows(2), Commit("a", 2))
    (entry,) = tmp_path.rglob("_delta_log/00000000000000000002.json")
    entry.write_bytes(b"")
    reopened = OfflineTable(tmp_path / "made" / "when needed")
    assert numbers(reopened) == [1]
    assert reopened.append(rows(2), Commit("a", 2))
    assert numbers(reopened) == [1, 2]


def test_files_are_durable_before_the_commit_and_the_commit_before_the_return(
    table: OfflineTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved afterwards can rest on it."""
    done: list[str] = []
    sync, commit = tables.sync, DeltaTable.create_write_transaction

    def recorded(self: DeltaTable, *args: Any, **options: Any) -> None:
        done.append("commit")
        commit(self, *args, **options)

    def recorded_sync(path: Path) -> None:
        done.append(path.name if path.suffix == ".json" else path.suffix)
        sync(path)

    monkeypatch.setattr(tables, "sync", recorded_sync)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", recorded)
    table.append(rows(1), Commit("a"))
    assert done == [".parquet", "", "commit", "00000000000000000001.json", ""]
