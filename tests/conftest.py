"""Settings of every test: one thread, and no deadlines, because a busy machine is no defect."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from ray_apps.runtime.threads import one_thread

one_thread()

settings.register_profile("reaseq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reaseq")

SHARED = ("ray_session", "shop")
"""Fixtures that live to the end of the session, the heaviest one last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses a system that stays comes last, so that no other test runs beside it."""
    items.sort(
        key=lambda item: [name in getattr(item, "fixturenames", ()) for name in SHARED[::-1]]
    )
