"""The kinds of model, one row each: whatever trains, lists, promotes or serves a model asks here.

A row names functions by their import path, so that listing models imports neither torch nor Ray.
Another kind of model is a module with these functions, and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ray_apps.registry.registry import Models, sqlite_uri
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from ray_apps.training.compare import Comparison
    from ray_apps.training.train import OnProgress, Training, TrainingRequest


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


_ROWS = (
    ModelKind(
        name="ranker",
        registered_name="reaseq-ranker",
        folder="models",
        settings_of=lambda settings: settings.ranker,
        metric="ndcg",
        prepare="ray_apps.training.ranker:prepare",
        load="ray_apps.training.ranker:load",
        compare="ray_apps.training.compare:compare",
        needs=lambda settings: ("generator",) if settings.ranker.use_generated else (),
    ),
    ModelKind(
        name="generator",
        registered_name="reaseq-generator",
        folder="generators",
        settings_of=lambda settings: settings.generator,
        metric="ndcg",
        prepare="ray_apps.training.generator:prepare",
        load="ray_apps.training.generator:load",
        follow_up="ray_apps.jobs.generate:generate_after_promotion",
    ),
)

MODEL_KINDS: dict[str, ModelKind] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are listed."""


def kind_of(name: str) -> ModelKind:
    """The row of a kind. Raises InputError when there is none such."""
    if name not in MODEL_KINDS:
        raise InputError(f"no kind of model {name!r}; there are {', '.join(MODEL_KINDS)}")
    return MODEL_KINDS[name]


def registry_of(settings: Settings, kind: str) -> Models:
    """The versions of a kind of model."""
    row, home = kind_of(kind), Home(settings.home)
    uri = settings.registry.uri
    where = uri.get_secret_value() if uri else sqlite_uri(home.registry)
    return Models(home.versions(row.folder), where, row.registered_name)


def load_version(settings: Settings, kind: str, version: str, device: str = "cpu") -> Any:
    """A version of a kind, ready to be asked; see `ModelKind.load_version`."""
    folder = registry_of(settings, kind).folder_of(version)
    return kind_of(kind).load_version(settings, folder, device)
