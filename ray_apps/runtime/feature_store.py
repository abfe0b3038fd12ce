"""The feature store and the event archive that the settings ask for."""

from __future__ import annotations

from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from streams.erasure.erased_users import ErasedUsersTable
from streams.feature_store.features import Features
from streams.feature_store.repository import table_uri
from streams.offline.events import EventArchive


def apply_features(settings: Settings) -> None:
    """Make the home's feature store, or bring it up to date; see `Features.apply`."""
    chosen = settings.features
    Features.apply(
        Home(settings.home).features,
        chosen.online,
        chosen.redis_url,
        chosen.tables,
        settings.stream.max_sequence_events,
    )


def event_archive(settings: Settings) -> EventArchive:
    """All events taken in, wherever the settings keep them."""
    return EventArchive(_table_uri(settings, "events"))


def erased_users(settings: Settings) -> ErasedUsersTable:
    """Who was erased, beside the events."""
    return ErasedUsersTable(_table_uri(settings, "erased_users"))


def _table_uri(settings: Settings, name: str) -> str:
    return table_uri(Home(settings.home).features, settings.features.tables, name)
