"""Folders of Parquet part files: the offline side of the feature store.

A part appears whole or not at all, and a part written again under its name replaces itself, so a
replayed write changes nothing. Readers take the parts in the order of their names.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_PART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*")


def write_part(folder: Path, part: str, table: pa.Table) -> Path:
    """Write `table` as the part named `part`, replacing an earlier one of that name.

    Raises ValueError for a name that is no plain file name.
    """
    if not _PART_NAME.fullmatch(part):
        raise ValueError(f"part name {part!r}: use letters, digits and . _ = - only")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{part}.parquet"
    unfinished = folder / f".{part}.{uuid.uuid4().hex}.tmp"
    try:
        pq.write_table(table, unfinished, compression="zstd")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


@dataclass(frozen=True)
class Part:
    """One finished part as it was when the folder was listed."""

    path: Path
    version: tuple[int, int]

    def read(self, columns: list[str]) -> pa.Table:
        """Some columns, in the order asked for.

        Raises RuntimeError when the part was replaced since it was listed: row positions found in
        the old one would mean other rows in the new one.
        """
        with self.path.open("rb") as file:
            if _version(os.fstat(file.fileno())) != self.version:
                raise RuntimeError(f"{self.path} was rewritten while it was read: read again")
            with pq.ParquetFile(file) as part:
                return part.read(columns=columns, use_threads=False).select(columns)


def parts(folder: Path) -> list[Part]:
    """The finished parts of a folder, by name; none when there is no folder."""
    return [Part(path, _version(path.stat())) for path in sorted(folder.glob("*.parquet"))]


def _version(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_ino, stat.st_mtime_ns
