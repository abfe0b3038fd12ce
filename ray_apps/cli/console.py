"""How the command line talks: its consoles, and errors that say what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from ray_apps.runtime.console_output import mute
from ray_apps.settings import Settings, load_settings
from reaseq.errors import ReaseqError
from reaseq.settings import SettingsError

console = Console()
errors = Console(stderr=True)


@contextmanager
def settings_for(config: Path | None) -> Iterator[Settings]:
    """The settings of a command, which runs inside; see `friendly_errors`.

    Exit code 2 when a setting is wrong.
    """
    try:
        settings = load_settings(config)
    except SettingsError as error:
        errors.print(f"[bold red]error:[/bold red] {error}", highlight=False)
        raise typer.Exit(2) from None
    with friendly_errors():
        yield settings


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turn what a user can fix into one message and exit code 1; let defects show themselves."""
    try:
        yield
    except ReaseqError as error:
        mute.end()
        errors.print(f"[bold red]error:[/bold red] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        mute.end()
        errors.print("stopped")
        raise typer.Exit(130) from None
    except BaseException:
        mute.end()
        raise
