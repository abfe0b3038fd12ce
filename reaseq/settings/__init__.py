"""Settings: frozen sections with defaults in code, read from one TOML file and the environment."""

from reaseq.settings.loading import CONFIG_VARIABLE, ENV_PREFIX, SettingsError, load
from reaseq.settings.section import Section

__all__ = ["CONFIG_VARIABLE", "ENV_PREFIX", "Section", "SettingsError", "load"]
