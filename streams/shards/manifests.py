"""Numbered manifests in a folder: each says which files make one checkpoint, the newest counts.

A manifest is created, never replaced, and only under the number after the newest. The file system
lets one process do so; who comes second learns that it no longer owns the partition. So the number
is the fencing token of a partition: claiming it takes the next number, and from then on every save
of an owner before, however late, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from reaseq.errors import NotReadyError
from reaseq.files import creating

_NAME = re.compile(r"checkpoint-(\d{12})\.json")
_ATTEMPTS = 100

Content = TypeVar("Content")


class FencedError(NotReadyError):
    """Another process owns the partition now; this one must stop."""


class Numbered(NamedTuple, Generic[Content]):
    """A manifest by its number."""

    number: int
    content: Content


def name_of(number: int) -> str:
    """The file of a manifest."""
    return f"checkpoint-{number:012d}.json"


def newest_number(folder: Path) -> int:
    """The number of the newest manifest, 0 before the first."""
    try:
        names = [file.name for file in folder.iterdir()]
    except FileNotFoundError:
        return 0
    return max(_numbers(names), default=0)


def read_newest(folder: Path, content: type[Content]) -> Numbered[Content] | None:
    """The newest manifest, None before the first. Raises NotReadyError."""
    for _ in range(_ATTEMPTS):
        number = newest_number(folder)
        if not number:
            return None
        try:
            text = (folder / name_of(number)).read_bytes()
        except FileNotFoundError:
            continue  # A newer one has come, and this one has gone.
        try:
            return Numbered(number, msgspec.json.decode(text, type=content))
        except ValueError as error:
            raise NotReadyError(
                f"{folder / name_of(number)} cannot be read ({error}): it is damaged or of another "
                "version; without its folder the partition is read from its beginning"
            ) from error
    raise NotReadyError(f"{folder} changes faster than it can be read")


def create(folder: Path, number: int, content: object) -> None:
    """Create a manifest, durably. Raises FencedError where its number, or a later one, exists."""
    try:
        with creating(folder / name_of(number)) as file:
            file.write_bytes(msgspec.json.encode(content))
    except FileExistsError as error:
        raise _fenced(folder) from error
    if newest_number(folder) != number:
        (folder / name_of(number)).unlink(missing_ok=True)
        raise _fenced(folder)


def check_newest(folder: Path, number: int) -> None:
    """Raises FencedError where a later manifest exists."""
    if newest_number(folder) != number:
        raise _fenced(folder)


def _numbers(names: Iterable[str]) -> list[int]:
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def _fenced(folder: Path) -> FencedError:
    return FencedError(
        f"another process goes on from the checkpoints in {folder}: this one lost the partition "
        "and stops; only one stream may run on a home"
    )
