"""A registry that is quickly there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.registry.registry import Registry


@pytest.fixture
def registry(home: Path) -> Registry:
    """The registry of a new home."""
    return Registry(home / "models")
