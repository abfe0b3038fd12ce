"""`ray_apps.training.trigger`."""

from __future__ import annotations

from ray_apps.settings import RetrainSettings
from ray_apps.training.trigger import RetrainTrigger

SETTINGS = RetrainSettings(every_events=100, every_s=60)


def test_enough_new_events_ask_for_a_training() -> None:
    """Counted from those the last training began with."""
    trigger = RetrainTrigger(SETTINGS, 1000, 0.0)
    assert not trigger.is_due(1099, 1.0)
    assert trigger.is_due(1100, 1.0)
    trigger.begin(1150, 2.0)
    assert not trigger.is_due(1249, 3.0)


def test_time_asks_for_one_if_anything_happened() -> None:
    """A quiet night trains nothing."""
    trigger = RetrainTrigger(SETTINGS, 1000, 0.0)
    assert not trigger.is_due(1000, 1e6)
    assert trigger.is_due(1001, 60.0)
    assert not trigger.is_due(1001, 59.0)
