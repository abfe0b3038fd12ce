"""Zip archives: one member, unpacked to a temporary file."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from tempfile import mkdtemp

from reaseq.datasets.errors import FileError

ZIP = b"PK\x03\x04"


def unpacked(path: Path, folder: Path) -> Path:
    """The file itself, or the member of a zip archive that it names, unpacked below `folder`.

    `ARCHIVE.zip` alone names its only member, `ARCHIVE.zip/MEMBER` one of several. Raises FileError
    for a choice that is not clear, for Excel workbooks and for archives that cannot be opened.
    """
    archive = next((p for p in (path, *path.parents) if p.is_file()), path)
    with archive.open("rb") as file:
        if file.read(4) != ZIP:
            if archive != path:
                raise FileError(f"{archive} is not a zip archive: give its own path")
            return path
    return _member(archive, path.relative_to(archive).as_posix(), folder)


def _member(archive: Path, name: str, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as content:
            chosen = _chosen(archive, content.namelist(), name)
            target = Path(mkdtemp(dir=folder)) / Path(chosen).name
            with content.open(chosen) as member, target.open("wb") as copy:
                shutil.copyfileobj(member, copy, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise FileError(f"{archive} cannot be unpacked ({error}): unpack it yourself") from None
    return target


def _chosen(archive: Path, names: list[str], name: str) -> str:
    if "[Content_Types].xml" in names:
        raise FileError(f"{archive} is an Excel workbook: save its sheet as CSV and give that")
    files = [n for n in names if not n.endswith("/") and not n.startswith("__MACOSX/")]
    if name in files:
        return name
    if name == "." and len(files) == 1:
        return files[0]
    listed = ", ".join(files[:10]) or "nothing"
    raise FileError(f"{archive} holds {listed}: name one of them as {archive.name}/MEMBER")
