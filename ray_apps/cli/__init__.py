"""The `reaseq` command."""

from ray_apps.cli.app import main

__all__ = ["main"]
