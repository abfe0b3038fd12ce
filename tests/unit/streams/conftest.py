"""A feature store in memory, with the guard every real one must have."""

from __future__ import annotations

import pytest

from streams.feature_store.memory import MemoryFeatures


@pytest.fixture
def store() -> MemoryFeatures:
    return MemoryFeatures()
