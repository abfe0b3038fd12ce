"""`reaseq verify`: is what is and was served what the events make of it."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.table import Table

from ray_apps.cli.broker_in_use import kafka_in_use
from ray_apps.cli.printable import printable
from ray_apps.runtime.feature_store import erased_users, event_archive
from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.runtime.run_file import find_running
from ray_apps.settings import Settings
from reaseq.errors import NotReadyError
from streams.feature_store.features import Features
from streams.log.kafka import KafkaLog
from streams.verification.causes import ADVICE, Cause
from streams.verification.online import Mismatch, OnlineCheck
from streams.verification.served import newest_served, served_mismatches, still_there

NUM_LOOKS = 3
"""At who differs while the stream runs: it writes to the store before it archives."""

NUM_EXAMPLES = 3


def verify_command(
    settings: Settings, console: Console, num_users: int | None, num_impressions: int, seed: int
) -> None:
    """Compare, print what differs by cause, and exit with 1 if anything does."""
    running = find_running(settings.home)
    home = running[0] if running else Home(settings.home)
    archive = event_archive(settings.at_home(home.root))
    users = archive.users()
    if not users:
        raise NotReadyError(f"no events in {home.events}: start the stream and send some")
    if num_users is not None:
        users = random.Random(seed).sample(users, min(num_users, len(users)))
    max_events = settings.stream.max_sequence_events
    stages = Stages(console)
    with stages.stage("online", f"Recompute the sequences of {len(users):,} users") as stage:
        online = OnlineCheck(archive, Features.open(home.features), max_events).mismatches(
            users,
            num_looks=NUM_LOOKS if running else 1,
            wait=lambda: time.sleep(2 * settings.stream.checkpoint_interval_s),
            progress=lambda num: stage.advance(num, len(users)),
        )
    served: list[Mismatch] = []
    num_served = 0
    if running or settings.kafka.bootstrap_servers:
        with stages.stage("served", "Replay what recommendations were made from"):
            log = KafkaLog(kafka_in_use(settings))
            (erased := erased_users(settings.at_home(home.root))).refresh()
            impressions = still_there(
                newest_served(log, settings.topics.impressions, num_impressions), erased
            )
            num_served = len(impressions)
            served = served_mismatches(archive, impressions, max_events)
    else:
        stages.say("no broker runs: what was served is not looked at")
    if online or served:
        console.print(_table(online, served))
    console.print(
        f"online: {len(online):,} of {len(users):,} users differ; "
        f"served: {len(served):,} of {num_served:,} recommendations"
    )
    if online or served:
        raise typer.Exit(1)


def _table(online: Iterable[Mismatch], served: Iterable[Mismatch]) -> Table:
    table = Table("where", "number", "the sequence", "of users such as", "what to do")
    for where, found in (("online", online), ("served", served)):
        by_cause: dict[Cause, list[str]] = defaultdict(list)
        for one in found:
            by_cause[one.cause].append(one.user_id)
        for cause, users in by_cause.items():
            examples = ", ".join(printable(user) for user in users[:NUM_EXAMPLES])
            table.add_row(where, f"{len(users):,}", cause.value, examples, ADVICE[cause])
    return table
