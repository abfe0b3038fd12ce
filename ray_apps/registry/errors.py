"""What can go wrong with the model registry."""

from __future__ import annotations

from reaseq.errors import ReaseqError, UnavailableError


class RegistryError(ReaseqError, ValueError):
    """The registry cannot do what is asked: no such version, or one that may not serve."""


class RegistryUnavailableError(RegistryError, UnavailableError):
    """The registry does not answer as it should; the message names `registry.uri`."""
