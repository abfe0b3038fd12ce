"""The kinds of model, one row each: whatever trains, lists, promotes or serves a model asks here.

A row names functions by their import path, so that listing models imports neither torch nor Ray.
Another kind of model is a module with these functions, and a row.
"""

from __future__ import annotations

from typing import Any

from ray_apps.registry.model_kind import ModelKind
from ray_apps.registry.registry import Registry, sqlite_uri
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.errors import InputError

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


def registry_of(settings: Settings, kind: str) -> Registry:
    """The versions of a kind of model."""
    row, home = kind_of(kind), Home(settings.home)
    uri = settings.registry.uri
    where = uri.get_secret_value() if uri else sqlite_uri(home.registry)
    return Registry(home.versions(row.folder), where, row.registered_name)


def load_version(settings: Settings, kind: str, version: str, device: str = "cpu") -> Any:
    """A version of a kind, ready to be asked; see `ModelKind.load_version`."""
    folder = registry_of(settings, kind).folder_of(version)
    return kind_of(kind).load_version(settings, folder, device)
