"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A new file to write, which takes the place of `path` when the block ends without an error.

    Readers see the old content or the new, never a part, also after a crash: the content is on disk
    before the name changes, and the name is on disk when this returns. Raises OSError.
    """
    with _unnamed(path, mode) as new:
        yield new
        sync(new)
        new.replace(path)


@contextmanager
def creating(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """As `replacing`, of several who try at once for only one. Raises FileExistsError."""
    with _unnamed(path, mode) as new:
        yield new
        sync(new)
        path.hardlink_to(new)


@contextmanager
def _unnamed(path: Path, mode: int) -> Iterator[Path]:
    """An empty file beside `path`, which is gone afterwards; then names are on disk."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    os.close(descriptor)
    new = Path(name)
    try:
        new.chmod(mode)
        yield new
        sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace the content of a file; see `replacing`."""
    with replacing(path, mode) as new:
        new.write_bytes(content)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
