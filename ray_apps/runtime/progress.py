"""Stages of a long command on the console: a bar while one runs, its time when done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


class Stage:
    """The stage that runs now."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=None)

    def advance(self, num: int, total: int | None = None) -> None:
        """`num` more of `total` are done."""
        self._progress.update(self._task, total=total, advance=num)

    def at(self, done: int, total: int) -> None:
        """`done` of `total` are done."""
        self._progress.update(self._task, completed=done, total=total)

    def doing(self, what: str) -> None:
        """Say what the stage does at the moment."""
        self._progress.update(self._task, description=f"{self._title} [dim]{what}[/dim]")


class Stages:
    """Runs stages one after the other and keeps how long each took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    def say(self, what: str) -> None:
        """A line between stages."""
        self._console.print(f"[yellow]{what}[/yellow]")

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[Stage]:
        """Run one stage; `name` is its key in `seconds`."""
        started = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield Stage(progress, title)
        took_s = time.monotonic() - started
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took_s, 2)
        self._console.print(f"[green]✔[/green] {title} [dim]{took_s:.1f} s[/dim]")
