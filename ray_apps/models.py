"""Which models there are and which one is champion: folders, and one file that names the champion.

Whoever serves watches the file (`ray_apps.serving.recommender`), so a promotion by any process that
shares the home folder reaches every replica without a restart.
"""

from __future__ import annotations

import os
from pathlib import Path


class Models:
    """The models of one home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = folder / "champion"

    def folder_of(self, version: str) -> Path:
        """Where a version lies, or will lie."""
        return self._folder / version

    def versions(self) -> list[str]:
        """All complete versions, oldest first."""
        return sorted(manifest.parent.name for manifest in self._folder.glob("*/manifest.json"))

    def next_version(self) -> str:
        """A version name after all those there are: v0001, v0002 …"""
        numbers = [int(v.removeprefix("v")) for v in self.versions() if v[1:].isdigit()]
        return f"v{max(numbers, default=0) + 1:04d}"

    @property
    def champion(self) -> str | None:
        """The version that serves, None before the first promotion."""
        return self._pointer.read_text().strip() if self._pointer.exists() else None

    def promote(self, version: str) -> None:
        """Make a version champion. Raises ValueError when there is no such version."""
        if version not in self.versions():
            raise ValueError(
                f"no model {version}; there are {', '.join(self.versions()) or 'none'}"
            )
        new = self._pointer.with_suffix(f".{os.getpid()}.new")
        new.write_text(version)
        new.replace(self._pointer)
