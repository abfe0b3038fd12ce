"""A zip archive is its member, where it is clear which."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from reaseq.datasets.archive import unpacked
from reaseq.datasets.errors import FileError


def archive(folder: Path, *names: str) -> Path:
    path = folder / "log.zip"
    with zipfile.ZipFile(path, "w") as content:
        for name in names:
            content.writestr(name, f"content of {name}")
    return path


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    """Folders and what macOS adds do not count."""
    path = archive(tmp_path, "2019/", "2019/oct.csv", "__MACOSX/2019/._oct.csv")
    member = unpacked(path, tmp_path)
    assert (member.name, member.read_text()) == ("oct.csv", "content of 2019/oct.csv")


def test_one_of_several_is_named_behind_the_archive(tmp_path: Path) -> None:
    """Without a name, or with a wrong one, the members are listed."""
    path = archive(tmp_path, "ml/ratings.dat", "ml/movies.dat")
    assert unpacked(path / "ml/ratings.dat", tmp_path).read_text() == "content of ml/ratings.dat"
    for wrong in (path, path / "ratings.dat"):
        with pytest.raises(FileError, match=r"holds ml/ratings.dat, ml/movies.dat: name one"):
            unpacked(wrong, tmp_path)


def test_what_is_not_an_archive_is_itself(tmp_path: Path) -> None:
    """Whatever its name; but nothing lies inside it."""
    file = tmp_path / "log.zip"
    file.write_text("user_id,item_id\n")
    assert unpacked(file, tmp_path) == file
    with pytest.raises(FileError, match="is not a zip archive"):
        unpacked(file / "member", tmp_path)


def test_a_workbook_or_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """With what to do instead."""
    with pytest.raises(FileError, match=r"Excel workbook: save its sheet as CSV"):
        unpacked(archive(tmp_path, "[Content_Types].xml", "xl/sheet1.xml"), tmp_path)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(FileError, match=r"damaged.zip cannot be unpacked .*: unpack it yourself"):
        unpacked(damaged, tmp_path)
