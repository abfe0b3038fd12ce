"""The join finds what was true then, and nothing from the future."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.offline.point_in_time import keys_of, newest_rows, rows_as_of
from streams.offline.queries import QueryLimits
from streams.offline.tables import Commit, OfflineTable

MICROSECONDS = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("when", pa.list_(pa.string())),
        ("event_timestamp", MICROSECONDS),
        ("created", MICROSECONDS),
    ]
)
FEATURES = pa.schema([SCHEMA.field("when")])

Version = tuple[str, int, int]
"""User, time and created time, few of each."""

KEY, TIME = st.sampled_from(["ann", "bob", "o'brien"]), st.integers(-3, 6)
VERSIONS = st.lists(st.tuples(KEY, TIME, TIME), max_size=25)
ASKED = st.lists(st.tuples(KEY, TIME), max_size=15)
PROPERTY = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """Folders for as many tables as a property needs."""
    return (tmp_path / str(number) for number in range(10_000))


def table_of(folder: Path, versions: list[Version], num_appends: int = 1) -> OfflineTable:
    """A table of versions whose feature names their place; appended in their order."""
    table = OfflineTable.create(folder, SCHEMA)
    size = -(-len(versions) // num_appends) or 1
    for start in range(0, len(versions), size):
        rows = list(enumerate(versions))[start : start + size]
        columns = [
            [user for _, (user, _, _) in rows],
            [[f"v{place}", "x"] for place, _ in rows],
            [time for _, (_, time, _) in rows],
            [created for _, (_, _, created) in rows],
        ]
        arrays = [pa.array(c, pa.int64()) if i > 1 else c for i, c in enumerate(columns)]
        table.append(pa.table(arrays, names=SCHEMA.names), Commit("test", start))
    return table


def found(table: OfflineTable, asked: list[tuple[str, int]], **options: Any) -> list[int]:
    """The place of the version that each key and time finds, or -1."""
    keys, times = [key for key, _ in asked], [time for _, time in asked]
    rows = rows_as_of(
        table,
        "user_id",
        pa.array(keys, pa.string()),
        pa.array(times, pa.int64()),
        FEATURES,
        **options,
    )
    assert rows.schema == FEATURES
    return [-1 if names is None else int(names[0][1:]) for names in rows["when"].to_pylist()]


def search(versions: list[Version], key: str, time: int, max_age: int = 0) -> int:
    """The definition: a look at every version."""
    best = -1
    for place, (of_key, of_time, created) in enumerate(versions):
        if (
            of_key == key
            and of_time <= time
            and (of_time, created) >= versions[best][1:] * (best >= 0)
        ):
            best = place
    is_old = best >= 0 and max_age > 0 and time - versions[best][1] > max_age
    return -1 if is_old else best


@given(VERSIONS, ASKED, st.integers(0, 4), st.integers(1, 3))
@PROPERTY
def test_the_join_is_a_search_through_all_rows(
    folders: Iterator[Path],
    versions: list[Version],
    asked: list[tuple[str, int]],
    max_age: int,
    num_appends: int,
) -> None:
    """Every row that is asked comes back once and in its place, equal ones too."""
    table = table_of(next(folders), versions, num_appends)
    expected = [search(versions, key, time, max_age) for key, time in asked]
    assert found(table, asked, max_age_us=max_age) == expected


@given(VERSIONS, ASKED)
@PROPERTY
def test_later_rows_change_nothing(
    folders: Iterator[Path], versions: list[Version], asked: list[tuple[str, int]]
) -> None:
    """Rows from after every time that is asked leave the answers as they are."""
    table = table_of(next(folders), versions)
    before = found(table, asked)
    later = [(key, 7, 0) for key in ("ann", "bob", "o'brien")]
    assert found(table_of(next(folders), versions + later), asked) == before


@given(VERSIONS)
@PROPERTY
def test_the_newest_rows_are_those_as_of_the_end(
    folders: Iterator[Path], versions: list[Version]
) -> None:
    """One row a key, by key."""
    table = table_of(next(folders), versions)
    keys = sorted({key for key, _, _ in versions})
    rows = newest_rows(table, "user_id", SCHEMA)
    assert keys_of(table, "user_id").to_pylist() == keys
    assert rows["user_id"].to_pylist() == keys
    newest = [f"v{search(versions, key, 10)}" for key in keys]
    assert [names[0] for names in rows["when"].to_pylist()] == newest


def test_a_tie_goes_to_the_last_appended_after_compaction_too(tmp_path: Path) -> None:
    """What orders equal versions is stored with them, not where they lie."""
    table = table_of(tmp_path, [("ann", 1, 1)] * 70, num_appends=70)
    assert found(table, [("ann", 1)]) == [69]
    assert table.compact()
    assert found(table, [("ann", 1)]) == [69]


def test_a_join_larger_than_its_memory_goes_on_in_temporary_files(tmp_path: Path) -> None:
    """150 MB of features are joined within 60 MB."""
    table = OfflineTable.create(tmp_path, SCHEMA)
    num = 5000
    words = pa.array([[f"{row}-{i:025d}" for i in range(100)] for row in range(500)])
    for start in range(0, num, 500):
        times = pa.array(range(start, start + 500))
        rows = pa.table([pa.repeat("ann", 500), words, times, times], names=SCHEMA.names)
        table.append(rows, Commit("test", start))
    asked = [("ann", time) for time in range(num)]
    keys, times = pa.array([key for key, _ in asked]), pa.array(range(num))
    limits = QueryLimits(max_memory="60MB")
    joined = rows_as_of(table, "user_id", keys, times, FEATURES, limits=limits)
    assert joined.num_rows == num
    assert joined["when"][num - 1].as_py() == words[499].as_py()
