"""Homes whose registry is quickly there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ray_apps.registry.errors import RegistryError
from ray_apps.registry.registry import Registry


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry file without versions: making the tables takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.raises(RegistryError):
        Registry(folder).promote("v0001")
    return folder / "registry.db"


@pytest.fixture
def home(tmp_path: Path, empty_registry: Path) -> Path:
    """A home with that registry."""
    (tmp_path / "models").mkdir()
    shutil.copy(empty_registry, tmp_path / "models")
    return tmp_path
