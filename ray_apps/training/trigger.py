"""When it is time to train again."""

from __future__ import annotations

from ray_apps.settings import RetrainSettings


class RetrainTrigger:
    """Due after so many new events, or after so much time if there was any event at all."""

    def __init__(self, settings: RetrainSettings, num_events: int, now_s: float) -> None:
        self._settings = settings
        self._num_events = num_events
        self._began_s = now_s

    def is_due(self, num_events: int, now_s: float) -> bool:
        """Whether to train now; `num_events` is all there ever were, `now_s` a monotonic clock."""
        num_new = num_events - self._num_events
        waited_s = now_s - self._began_s
        return num_new >= self._settings.every_events or (
            num_new > 0 and waited_s >= self._settings.every_s
        )

    def begin(self, num_events: int, now_s: float) -> None:
        """A training begins with these events; a failed one is not tried again before its time."""
        self._num_events = num_events
        self._began_s = now_s
