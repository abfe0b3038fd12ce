"""Addresses become files: globs, and whatever fsspec can reach."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest

from reaseq.datasets.errors import FileError
from reaseq.datasets.remote import local_paths


@pytest.fixture
def bucket() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    for name in ("a", "b"):
        system.pipe(f"/bucket/{name}.csv", name.encode())
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_a_glob_is_all_its_files_by_name(tmp_path: Path) -> None:
    """Folders are not files; a plain path is itself, whatever characters it has."""
    for name in ("b.csv", "a.csv", "c[1].csv"):
        (tmp_path / name).touch()
    (tmp_path / "d.csv").mkdir()
    names = [path.name for path in local_paths([f"{tmp_path}/*.csv"], tmp_path)]
    assert names == ["a.csv", "b.csv", "c[1].csv"]
    assert local_paths([f"{tmp_path}/c[1].csv"], tmp_path) == [tmp_path / "c[1].csv"]


def test_remote_files_are_copied(bucket: str, tmp_path: Path) -> None:
    """One address or a pattern."""
    copies = local_paths([f"{bucket}/*.csv", f"{bucket}/a.csv"], tmp_path)
    assert [copy.read_text() for copy in copies] == ["a", "b", "a"]
    assert all(tmp_path in copy.parents for copy in copies)


def test_what_is_not_there_is_named(bucket: str, tmp_path: Path) -> None:
    """On this machine and elsewhere."""
    for address in (f"{tmp_path}/absent.csv", f"{tmp_path}/*.csv", str(tmp_path)):
        with pytest.raises(FileError, match="is not a file: check the path"):
            local_paths([address], tmp_path)
    with pytest.raises(FileError, match=r"nothing matches memory://bucket/\*.json"):
        local_paths([f"{bucket}/*.json"], tmp_path)
    with pytest.raises(FileError, match=r"absent.csv cannot be fetched"):
        local_paths([f"{bucket}/absent.csv"], tmp_path)


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_s3_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    """And so does an address of a kind that nobody knows."""
    with pytest.raises(FileError, match=r"s3://shop/log.csv needs `pip install fsspec s3fs`"):
        local_paths(["s3://shop/log.csv"], tmp_path)
    with pytest.raises(FileError, match="needs `pip install fsspec"):
        local_paths(["nowhere://shop/log.csv"], tmp_path)
