"""One training in the registry: a version that is completed, or discarded with its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ray_apps.registry.registry import Models


class TrainingRun:
    """A version in the making."""

    def __init__(self, registry: Models, params: Mapping[str, object]) -> None:
        self.version: str = registry.reserve()
        self.folder: Path = registry.folder_of(self.version)
        self.params = dict(params)
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self._registry = registry

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep what an epoch came to."""
        self.metrics.append((step, dict(metrics)))

    def complete(self, tags: Mapping[str, str]) -> None:
        """The folder is whole: from now on the version may serve."""
        self._registry.complete(self.version, tags)


@contextmanager
def begin(
    registry: Models, params: Mapping[str, object], tags: Mapping[str, str] | None = None
) -> Iterator[TrainingRun]:
    """Reserve a version for a training; an exception discards the version and its folder."""
    run = TrainingRun(registry, params)
    try:
        yield run
    except BaseException:
        registry.discard(run.version)
        raise
