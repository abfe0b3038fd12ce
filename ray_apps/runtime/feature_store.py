"""The feature store that the settings ask for, applied once in the driver."""

from __future__ import annotations

from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from streams.feature_store.features import Features


def apply_features(settings: Settings) -> None:
    """Make the home's feature store, or bring it up to date; see `Features.apply`."""
    chosen = settings.features
    Features.apply(Home(settings.home).features, chosen.online, chosen.redis_url)
