"""The two registered models of an installation: the ranker and the behaviour generator."""

from __future__ import annotations

from ray_apps.registry.registry import Registry, sqlite_uri
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings


def rankers(settings: Settings) -> Registry:
    """The versions of the ranker, with the candidate index beside each."""
    return Registry(Home(settings.home).models, _uri(settings), "reaseq-ranker")


def generators(settings: Settings) -> Registry:
    """The versions of the behaviour generator."""
    return Registry(Home(settings.home).generators, _uri(settings), "reaseq-generator")


def _uri(settings: Settings) -> str:
    uri = settings.registry.uri
    return uri.get_secret_value() if uri else sqlite_uri(Home(settings.home).models)
