"""The log a command works on: the bundled data set, or the user's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ray_apps.cli.file_flags import FileFlags
from reaseq.datasets.errors import FileError
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import read_online_retail
from reaseq.datasets.reader import open_log
from reaseq.datasets.report import Preview, ReadReport
from reaseq.datasets.stored_log import StoredLog
from reaseq.events import shown_time


@contextmanager
def open_source(flags: FileFlags) -> Iterator[EventLog | StoredLog]:
    """Open the bundled data set or the files of the flags; they are never held in memory.

    Raises FileError with what to do when a file does not fit or holds no event.
    """
    if flags.is_bundled:
        yield read_online_retail()
        return
    with open_log(flags.events or (), flags.items or (), flags.options()) as log:
        if not log.num_events:
            reasons = ", ".join(f"{one.count:,} {one.reason}" for one in log.report().left_out)
            raise FileError(f"there is no usable event in the files: {reasons or 'no row'}")
        yield log


def read_source(flags: FileFlags, num_users: int | None) -> EventLog:
    """The same, in memory. Raises FileError."""
    with open_source(flags) as source:
        log = source.read() if isinstance(source, StoredLog) else source
    return log.of_users(num_users) if num_users else log


def show_preview(preview: Preview, console: Console) -> None:
    """Print what was taken for what, with examples."""
    for title, taken in (("events", preview.taken), ("items", preview.taken_for_items)):
        pairs = ", ".join(f"{field} ← {source}" for field, source in taken.items())
        if pairs:
            console.print(f"[bold]{title}[/bold]  {escape(pairs)}")
    table = Table(title=f"first of {preview.num_events:,} events", title_justify="left")
    for name in ("user", "item", "type", "time", "value", "id"):
        table.add_column(name, overflow="fold")
    for example in preview.examples:
        table.add_row(*(escape(text) for text in _shown(example)))
    console.print(table)


def _shown(event: Mapping[str, Any]) -> list[str]:
    """The cells of one event, its time as people read it."""
    time = shown_time(event["event_time_ms"])
    value = "–" if event["value"] is None else f"{event['value']:g}"
    kind, identity = event["event_type"], event["event_id"]
    return [event["user_id"], event["item_id"], kind, time, value, identity]


def show_report(report: ReadReport, console: Console) -> None:
    """Print what was left out, each reason with an example, and what looks odd."""
    for label, found in (("left out", report.left_out), ("unreadable", report.without_value)):
        for one in found:
            example = f", for example {one.example}" if one.example else ""
            text = escape(f"{one.count:,} rows: {one.reason}{example}")
            console.print(f"[yellow]{label}[/yellow] {text}")
    for note in report.notes:
        console.print(f"[yellow]note[/yellow] {escape(note)}")
