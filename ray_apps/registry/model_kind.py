"""What a kind of model is: the functions that a row names, and what they take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import BaseModel

from ray_apps.settings import Settings

if TYPE_CHECKING:
    from reaseq.artifacts import Manifest
    from reaseq.evaluation.prequential import Quality
    from reaseq.training.loop import Fit, FitState

OnProgress = Callable[[str, int, int], None]
"""Called with (what is done, how many are, of how many); (what, 0, 0) where nothing is counted."""


class TrainingRequest(NamedTuple):
    """What is asked of a training, whatever the kind of model."""

    before_ms: int | None = None
    """Learn only from what came before; None: from everything."""
    seed: int = 0
    on_progress: OnProgress = lambda what, done, total: None


class Training(Protocol):
    """The data of one training, and what becomes of the weights it gives."""

    @property
    def fit(self) -> Fit:
        """The fit, ready to travel to the workers."""
        ...

    def save(self, state: FitState, version: str, folder: Path) -> Manifest[Any]:
        """Write the model folder of a version from the fit's last state."""
        ...

    def finish(self, version: str) -> None:
        """What is to be done once the version is complete in the registry."""
        ...


class Comparison(NamedTuple):
    """Which model ranks better on `[start_ms, end_ms)`, by NDCG; a tie keeps the champion."""

    champion: Quality
    challenger: Quality
    start_ms: int
    end_ms: int

    @property
    def challenger_wins(self) -> bool:
        """Whether to promote."""
        return self.challenger.ndcg > self.champion.ndcg


@dataclass(frozen=True)
class ModelKind:
    """One row. Import paths are `package.module:name`; see the method that calls it."""

    name: str
    """As on the command line and in the manifest."""
    registered_name: str
    """In the model registry."""
    folder: str
    """Of the versions, under the home folder."""
    settings_of: Callable[[Settings], BaseModel]
    """The section with the model's settings."""
    metric: str
    """What it is judged by; more is better."""
    prepare: str
    load: str
    compare: str | None = None
    """None: a new version takes over without having to win."""
    follow_up: str | None = None
    needs: Callable[[Settings], tuple[str, ...]] = lambda settings: ()
    """The kinds that must have a champion before this one is trained."""

    def prepare_training(self, settings: Settings, request: TrainingRequest) -> Training:
        """Gather what a training needs. Raises ReaseqError when there is nothing to train on."""
        training: Training = resolve_name(self.prepare)(settings, request)
        return training

    def load_version(self, settings: Settings, folder: Path, device: str = "cpu") -> Any:
        """A version ready to be asked, computing on `device`. Raises InputError without one."""
        return resolve_name(self.load)(settings, folder, device)

    def compare_versions(
        self, settings: Settings, champion: str, challenger: str, start_ms: int, end_ms: int
    ) -> Comparison:
        """Champion against challenger on `[start_ms, end_ms)`; only for kinds that compare."""
        assert self.compare is not None
        comparison: Comparison = resolve_name(self.compare)(
            settings, champion, challenger, start_ms, end_ms
        )
        return comparison

    def follow_promotion(
        self, settings: Settings, version: str, on_progress: OnProgress
    ) -> str | None:
        """Do what a newly trained champion asks for; a sentence on what was done, if anything."""
        if self.follow_up is None:
            return None
        done: str = resolve_name(self.follow_up)(settings, version, on_progress)
        return done
