"""Text files as UTF-8: other encodings are rewritten to a temporary file, a piece at a time."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from tempfile import mkdtemp

GZIP = b"\x1f\x8b"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PIECE = 1 << 20
"""Bytes read at a time."""


def is_gzip(path: Path) -> bool:
    """Whether a file is gzip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


def opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """The bytes of a file, unpacked where it is gzip."""
    return gzip.GzipFile(path) if is_gzip(path) else path.open("rb")


def as_utf8(path: Path, folder: Path) -> tuple[Path, str | None]:
    """The file itself if it is UTF-8, else a copy below `folder` and the encoding it was read in.

    UTF-16 is known by its byte order mark. A file whose bytes beyond ASCII are mostly valid UTF-8
    is damaged UTF-8: the damaged characters become "�". Any other is cp1252 (Windows), or latin-1
    where it holds bytes that cp1252 does not define.
    """
    encoding = _encoding(path)
    if encoding is None:
        return path, None
    name = path.name.removesuffix(".gz")
    target = Path(mkdtemp(dir=folder)) / name
    with target.open("w", encoding="utf-8", newline="") as copy:
        for text in _decoded(path, encoding, "replace"):
            copy.write(text)
    return target, encoding


def _encoding(path: Path) -> str | None:
    """None for UTF-8 without damage."""
    with opened(path) as file:
        start = file.read(2)
    if start in UTF16_MARKS:
        return "utf-16"
    if _decodes(path, "utf-8"):
        return None
    if _is_mostly_utf8(path):
        return "utf-8"
    return "cp1252" if _decodes(path, "cp1252") else "latin-1"


def _decodes(path: Path, encoding: str) -> bool:
    try:
        for _ in _decoded(path, encoding, "strict"):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(path: Path) -> bool:
    num_damaged = num_good = 0
    for text in _decoded(path, "utf-8", "replace"):
        damaged = text.count("\ufffd")
        num_damaged += damaged
        num_good += 0 if text.isascii() else sum(c > "\x7f" for c in text) - damaged
    return num_good > num_damaged


def _decoded(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with opened(path) as file:
        while piece := file.read(PIECE):
            yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
