"""Who was erased is known to all who share the table, each by the latest time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from streams.erasure.erased_users import NOBODY, NOT_ERASED_MS, ErasedUsers, ErasedUsersTable


def until_ms(erased: ErasedUsers, *users: str) -> list[int]:
    """Up to when each is erased."""
    found: list[int] = erased.until_ms(pa.array(users, pa.string())).tolist()
    return found


def test_the_latest_erasure_of_a_user_counts(tmp_path: Path) -> None:
    """In whatever order they were asked for, ids of any characters; the others are as before."""
    erased = ErasedUsersTable(tmp_path / "erased")
    assert until_ms(erased, "ann", "bob") == [NOT_ERASED_MS, NOT_ERASED_MS]
    for user, time_ms in (("bob", 7), ("ann", 9), ("bob", 5), ("ö/🙂", 1), ("", 0)):
        erased.add(user, time_ms)
    assert until_ms(erased, "cid", "bob", "ann", "bob", "ö/🙂", "") == [
        *(NOT_ERASED_MS, 7, 9, 7),
        *(1, 0),
    ]
    assert len(erased.hashes()) == 4
    assert until_ms(erased) == []


def test_another_process_hears_of_it_when_it_looks(tmp_path: Path) -> None:
    """And knows that it has all up to a version."""
    ours, theirs = (ErasedUsersTable(tmp_path / "erased") for _ in range(2))
    theirs.refresh()
    assert not theirs.refresh()
    version = ours.add("ann", 9)
    assert until_ms(theirs, "ann") == [NOT_ERASED_MS]
    assert theirs.version < version
    assert theirs.refresh()
    assert theirs.version >= version
    assert until_ms(theirs, "ann") == [9]


def test_no_file_of_the_table_names_the_user(tmp_path: Path) -> None:
    """What remembers an erasure must not remember whom it was about."""
    ErasedUsersTable(tmp_path / "erased").add("somebody-unmistakable", 9)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not any(b"somebody-unmistakable" in file.read_bytes() for file in files)


def test_nobody_is_nobody() -> None:
    """What stands for a table where nothing is ever erased."""
    assert not NOBODY.refresh()
    assert until_ms(NOBODY, "ann") == [NOT_ERASED_MS]
    assert len(NOBODY.hashes()) == 0
