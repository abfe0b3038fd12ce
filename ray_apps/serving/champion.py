"""Watches which version of a model is champion and hands over each new one whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ray_apps.runtime.periodic import Backoff

logger = logging.getLogger("ray.serve")

FIRST_RETRY_S = 1.0
MAX_RETRY_S = 60.0

Model = TypeVar("Model")


class Champions(Protocol):
    """The part of a model registry that those who serve a model need."""

    @property
    def champion(self) -> str | None:
        """The version that serves, None before the first promotion."""

    def folder_of(self, version: str) -> Path:
        """Where a version lies."""


class ChampionWatcher(Generic[Model]):
    """Holds the champion. A new one is loaded beside the held one and takes over when it is whole.

    A version that does not load is reported and tried again after 1 s, 2 s, … up to a minute;
    another version is tried at once. Meanwhile the held one stays. The same goes for a registry
    that does not answer.
    """

    def __init__(
        self,
        registry: Champions,
        load: Callable[[Path], Model],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._load = load
        self._clock = clock
        self._backoff = Backoff(FIRST_RETRY_S, MAX_RETRY_S)
        self._failed: str | None = None
        self._retry_at = float("-inf")
        self.version: str | None = None
        self.model: Model | None = None

    def look(self) -> bool:
        """Whether a new champion took over. Raises nothing; loading may take seconds."""
        version: str | None = None
        try:
            if self._waits_to_try(version):
                return False
            version = self._registry.champion
            if version in (None, self.version):
                self._backoff.reset()
                return False
            if self._waits_to_try(version):
                return False
            model = self._load(self._registry.folder_of(str(version)))
        except Exception as error:  # noqa: BLE001 - reported, and the held model serves on
            self._put_off(version, error)
            return False
        self.version, self.model = version, model
        self._backoff.reset()
        return True

    def _waits_to_try(self, version: str | None) -> bool:
        """Whether it was this that failed, a short time ago; None is the registry itself."""
        return version == self._failed and self._clock() < self._retry_at

    def _put_off(self, version: str | None, error: Exception) -> None:
        if version != self._failed:
            self._backoff.reset()
        self._failed = version
        self._retry_at = self._clock() + self._backoff.next_s()
        what = f"champion {version} does not load" if version else "the registry does not answer"
        held = self.version or "no model"
        logger.error("%s: going on with %s", what, held, exc_info=error)
