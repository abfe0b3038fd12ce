"""`reaseq erase`: take a user out of every store, and show that nothing is left."""

from __future__ import annotations

import time

import typer
from rich.console import Console
from rich.table import Table

from ray_apps.cli.printable import printable
from ray_apps.runtime.feature_store import erased_users, event_archive
from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.runtime.run_file import find_running
from ray_apps.runtime.stream_lock import StreamRunsError, only_stream_of
from ray_apps.settings import Settings
from streams.erasure.erase import (
    Erasure,
    Remains,
    Stores,
    erase_from_checkpoints,
    erase_from_stores,
    note_erasure,
    remains,
    wait_for_shards,
)
from streams.feature_store.features import Features
from streams.shards.checkpoints import Checkpoints


def erase_command(
    settings: Settings, console: Console, user_id: str, timeout_s: float, yes: bool
) -> None:
    """Erase, print what there was and what is left, and exit with 1 if anything is."""
    if not yes:
        typer.confirm(f"Erase all that is kept of user {printable(user_id)}?", abort=True)
    running = find_running(settings.home)
    settings = settings.at_home(running[0].root if running else settings.home)
    stores = _stores(settings)
    stages = Stages(console)
    with stages.stage("note", "Refuse from now on what happened until now"):
        erasure = note_erasure(stores, user_id, time.time_ns() // 1_000_000)
        before = remains(stores, erasure)
    with stages.stage("checkpoints", "Memory and checkpoints of the stream"):
        _erase_from_shards(settings, stores, erasure, timeout_s)
    with stages.stage("stores", "Online features, offline tables and their old versions"):
        erase_from_stores(stores, erasure)
    after = remains(stores, erasure)
    console.print(_table(before, after))
    topics = settings.topics
    console.print(
        f"Kafka keeps what it has until its retention is over: {topics.events}, "
        f"{topics.impressions} and {topics.dead_letters}. Nothing of it is taken in again."
    )
    if any(after.values()):
        raise typer.Exit(1)


def _stores(settings: Settings) -> Stores:
    home = Home(settings.home)
    checkpoints = Checkpoints(home.checkpoints)
    return Stores(
        erased_users(settings),
        event_archive(settings),
        Features.open(home.features),
        checkpoints,
        [p for p in checkpoints.partitions() if p.topic == settings.topics.events],
    )


def _erase_from_shards(
    settings: Settings, stores: Stores, erasure: Erasure, timeout_s: float
) -> None:
    try:
        with only_stream_of(Home(settings.home)):
            erase_from_checkpoints(stores, erasure)
    except StreamRunsError:
        wait_for_shards(stores, erasure, timeout_s)


def _table(before: Remains, after: Remains) -> Table:
    table = Table("of the user", "there was", "is left")
    for place, num in before.items():
        table.add_row(place, f"{num:,}", f"{after[place]:,}")
    return table
