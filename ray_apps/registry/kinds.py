"""The two registered models of an installation: the ranker and the behaviour generator."""

from __future__ import annotations

from ray_apps.registry.registry import Models, sqlite_uri
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings


def rankers(settings: Settings) -> Models:
    """The versions of the ranker, with the candidate index beside each."""
    return Models(Home(settings.home).models, _uri(settings), "reaseq-ranker")


def generators(settings: Settings) -> Models:
    """The versions of the behaviour generator."""
    return Models(Home(settings.home).generators, _uri(settings), "reaseq-generator")


def _uri(settings: Settings) -> str:
    uri = settings.registry.uri
    return uri.get_secret_value() if uri else sqlite_uri(Home(settings.home).models)
