"""Addresses as files on this machine: globs, archive members, and what fsspec can fetch."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any

from reaseq.datasets.errors import FileError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "http": "aiohttp"}
"""Scheme of an address → the package that lets fsspec read it."""


def local_paths(addresses: Sequence[str], folder: Path) -> list[Path]:
    """The files behind `addresses`: paths, globs, `ARCHIVE.zip/MEMBER`, or `s3://…` and the like.

    What is not on this machine is copied below `folder`, streamed. Raises FileError where nothing
    is found or what an address needs is not installed.
    """
    return [path for address in addresses for path in _paths(address, folder)]


def _paths(address: str, folder: Path) -> list[Path]:
    if "://" in address:
        return _fetched(address, folder)
    path = Path(address).expanduser()
    if path.is_file() or any(parent.is_file() for parent in path.parents):
        return [path]
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [file for file in found if file.is_file()]
    if not files:
        raise FileError(f"{address} is not a file: check the path, or quote a glob like 'logs/*'")
    return files


def _fetched(address: str, folder: Path) -> list[Path]:
    system, pattern = _file_system(address)
    try:
        names = sorted(system.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        if not names:
            raise FileError(f"nothing matches {address}: check the bucket and the pattern")
        return [_copy(system, name, folder) for name in names]
    except FileError:
        raise
    except Exception as error:  # noqa: BLE001 - every file system raises its own kinds
        raise FileError(f"{address} cannot be fetched ({error}): check it and its access") from None


def _file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and its path in it."""
    scheme = address.partition("://")[0]
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        system, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        package = PACKAGES.get(scheme.removesuffix("s"), PACKAGES.get(scheme, "fsspec"))
        raise FileError(f"{address} needs `pip install fsspec {package}`: {error}") from None
    return system, path


def _copy(system: Any, name: str, folder: Path) -> Path:
    target = Path(mkdtemp(dir=folder)) / PurePosixPath(name).name
    with system.open(name, "rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    return target
