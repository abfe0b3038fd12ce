"""What the commands about registered models do: list, promote, roll back. They need no Ray."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from ray_apps.registry.kinds import MODEL_KINDS, registry_of
from ray_apps.registry.registry import ModelEntry
from ray_apps.runtime.run_file import find_running
from ray_apps.settings import Settings


def list_models(settings: Settings, console: Console) -> None:
    """Print the versions of every kind of model."""
    settings = where_it_runs(settings)
    for row in MODEL_KINDS.values():
        title = f"{row.name}, judged by {row.metric}"
        console.print(_table(title, registry_of(settings, row.name).list()))


def promote_command(settings: Settings, console: Console, version: str, kind: str) -> None:
    """Let a version serve."""
    registry_of(where_it_runs(settings), kind).promote(version, "by hand")
    console.print(f"[green]{version} is the champion[/green]: replicas take it within seconds")


def rollback_command(settings: Settings, console: Console, kind: str) -> None:
    """Let the champion before serve again."""
    version = registry_of(where_it_runs(settings), kind).rollback()
    console.print(f"[green]back to {version}[/green]: replicas take it within seconds")


def where_it_runs(settings: Settings) -> Settings:
    """The home of the system that runs here, a demo's perhaps, or the settings' own."""
    found = find_running(settings.home)
    return settings.at_home(found[0].root if found else settings.home)


def _table(title: str, entries: list[ModelEntry]) -> Table:
    table = Table(title=title, title_justify="left", caption="" if entries else "none yet")
    for column in ("version", "made", "trained up to", "state", "verdict", "figures"):
        table.add_column(column)
    for entry in entries:
        until_ms = entry.trained_up_to_ms
        until = "–" if until_ms is None else f"{datetime.fromtimestamp(until_ms / 1000, UTC):%F}"
        figures = "  ".join(f"{name} {value:.4g}" for name, value in entry.figures.items())
        table.add_row(
            f"{entry.version} [green]champion[/green]" if entry.is_champion else entry.version,
            f"{entry.created_at:%F %H:%M}",
            until,
            entry.state,
            entry.verdict or "–",
            figures or "–",
        )
    return table
