"""`reaseq demo`: which data, which split, where; then the story."""

from __future__ import annotations

from rich.console import Console

from ray_apps.cli.data_sources import read_source
from ray_apps.cli.file_flags import FileFlags
from ray_apps.demo.run import run_demo
from ray_apps.runtime.run_file import find_running
from ray_apps.settings import Settings
from ray_apps.system import unwind_on_sigterm
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import SPLIT_MS
from reaseq.errors import NotReadyError

HISTORY_SHARE = 0.8
"""Of the events of another log."""


def demo_command(
    settings: Settings,
    flags: FileFlags,
    num_users: int | None,
    keep: bool,
    console: Console,
) -> None:
    """Run the demo in its own home below the settings'."""
    unwind_on_sigterm()
    home = settings.home / "demo"
    found = find_running(settings.home)
    if found and found[0].root == home:
        raise NotReadyError("a demo still runs here (--keep): end it with `reaseq down`")
    with console.status("reading the log"):
        log = read_source(flags, num_users)
    split_ms = SPLIT_MS if flags.is_bundled else _split_ms(log)
    serve = settings.serve.model_copy(update={"port": settings.serve.port if keep else 0})
    settings = settings.at_home(home).model_copy(update={"serve": serve})
    run_demo(settings, log, split_ms, console, keep)


def _split_ms(log: EventLog) -> int:
    place = int(log.events.num_rows * HISTORY_SHARE)
    return int(log.events["event_time_ms"][place].as_py())
