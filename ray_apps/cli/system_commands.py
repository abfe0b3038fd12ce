"""What the commands do; `ray_apps.cli` only declares them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime

import httpx
import msgspec
import pyarrow as pa
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ray_apps.cli.broker_in_use import kafka_in_use
from ray_apps.cli.data_sources import open_source, show_preview, show_report
from ray_apps.cli.file_flags import FileFlags
from ray_apps.cli.status import read_status
from ray_apps.cli.tables import status_tables
from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.runtime.run_file import Running, find_running
from ray_apps.serving.app import serving
from ray_apps.settings import Settings
from ray_apps.system import (
    infrastructure,
    run_until_stopped,
    serving_system,
    streaming,
    unwind_on_sigterm,
    wait_for_interrupt,
)
from ray_apps.text_generation.choose import prepare
from reaseq.datasets.stored_log import StoredLog
from reaseq.errors import NotReadyError, UnavailableError
from streams.log.codec import event_codec, item_codec
from streams.log.kafka import KafkaLog
from streams.log.replay import replay
from streams.settings import KafkaSettings, TopicSettings

DOWN_TIMEOUT_S = 60.0


def up_command(settings: Settings, console: Console) -> None:
    """Start everything and stay."""
    unwind_on_sigterm()
    prepare(settings, Stages(console))
    with ExitStack() as stack:
        with console.status("starting") as spinner:

            def say(what: str) -> None:
                spinner.update(f"starting {what}")

            base = stack.enter_context(infrastructure(settings, say))
            say("sequence shards")
            stream = stack.enter_context(streaming(base))
            say("HTTP application")
            system = stack.enter_context(serving_system(base, stream))
        console.print(f"[green]up[/green]  {system.url}/docs  Kafka {_broker(base.settings)}")
        console.print("Ctrl-C or `reaseq down` stops it; `reaseq status` tells how it is doing")
        run_until_stopped(stream, _warn(console))
        console.print("stopping")


def stream_command(settings: Settings, console: Console) -> None:
    """Run the shards alone."""
    unwind_on_sigterm()
    with infrastructure(settings, lambda what: None) as base, streaming(base) as stream:
        console.print(f"[green]streaming[/green] from Kafka {_broker(base.settings)}; Ctrl-C stops")
        run_until_stopped(stream, _warn(console))


def serve_command(settings: Settings, console: Console) -> None:
    """Run the application alone."""
    unwind_on_sigterm()
    prepare(settings, Stages(console))
    with infrastructure(settings, lambda what: None) as base, serving(base.settings) as url:
        console.print(f"[green]serving[/green] {url}/docs; Ctrl-C stops")
        wait_for_interrupt()


def _warn(console: Console) -> Callable[[str], None]:
    return lambda what: console.print(f"[yellow]{escape(what)}[/yellow]")


def down_command(settings: Settings, console: Console) -> None:
    """Stop the running system."""
    found = find_running(settings.home)
    if found is None:
        console.print(f"nothing runs in {settings.home}")
        return
    _, running = found
    with suppress(ProcessLookupError):  # it may just have ended by itself
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    with console.status(f"stopping process {running.pid}"):
        while running.alive:
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"process {running.pid} is still there after {DOWN_TIMEOUT_S:.0f} s: "
                    f"look what it does, or end it with `kill -9 {running.pid}`"
                )
            time.sleep(0.1)
    console.print("stopped")


def status_command(settings: Settings, console: Console, as_json: bool) -> None:
    """Print how the system is doing."""
    home, running = _running(settings)
    found = read_status(settings, home, running)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    for table in status_tables(found):
        console.print(table)


def replay_command(
    settings: Settings,
    console: Console,
    flags: FileFlags,
    users: int | None,
    start: datetime | None,
    end: datetime | None,
) -> None:
    """Send a log through Kafka: what was taken for what, the records, then what was left out."""
    kafka = kafka_in_use(settings)  # before anything is read: that may take minutes
    start_ms, end_ms = _as_ms(start), _as_ms(end)
    with open_source(flags) as log:
        if isinstance(log, StoredLog):
            show_preview(log.preview(), console)
        batches = log.batches(start_ms, end_ms, users)
        _send(kafka, settings.topics, console, log.item_batches(), batches)
        if isinstance(log, StoredLog):
            show_report(log.report(), console)
            return
    for reason, num in log.left_out.items():
        if num:
            console.print(f"[yellow]left out[/yellow] {num:,} rows: {reason}")


def _send(
    kafka: KafkaSettings,
    topics: TopicSettings,
    console: Console,
    items: Iterable[pa.Table],
    events: Iterable[pa.Table],
) -> None:
    """Send all items, then the events by time, and say how many."""
    num_items = num_events = 0
    item, event = item_codec(kafka.max_event_bytes), event_codec(kafka.max_event_bytes)
    with closing(KafkaLog(kafka).writer()) as writer:
        for batch in items:
            num_items += replay(batch, "item_id", topics.items, item, writer)
        started = time.monotonic()
        with console.status("sending events") as spinner:
            for batch in events:
                num_events += replay(batch, "user_id", topics.events, event, writer)
                spinner.update(f"sent {num_events:,} events")
    rate = num_events / max(time.monotonic() - started, 1e-9)
    console.print(f"sent {num_items:,} items and {num_events:,} events ({rate:,.0f}/s)")


def recommend_command(settings: Settings, console: Console, user: str, scene: str, k: int) -> None:
    """Ask the running system."""
    _, running = _running(settings)
    url = f"{running.url}/v1/users/{user}/recommendations"
    answer = httpx.get(url, params={"scene": scene, "k": k}, timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise UnavailableError(f"the system answered {answer.status_code}: {answer.text}")
    slate = answer.json()
    model, events = slate["model_version"] or "no model", slate["sequence_events"]
    table = Table(title=f"user {user}, {scene}, {model}, {events} events", title_justify="left")
    for column in ("item", "title", "price", "score", "because"):
        table.add_column(column)
    for item in slate["items"]:
        price = "–" if item["price"] is None else f"{item['price']:.2f}"
        because = ", ".join(item["sources"])
        table.add_row(item["item_id"], item["title"] or "–", price, f"{item['score']:.2f}", because)
    console.print(table)
    if slate["fallbacks"]:
        console.print(f"[yellow]missing:[/yellow] {', '.join(slate['fallbacks'])}")


def _running(settings: Settings) -> tuple[Home, Running]:
    found = find_running(settings.home)
    if found is None:
        raise NotReadyError(f"nothing runs in {settings.home}: start it with `reaseq up`")
    return found


def _broker(settings: Settings) -> str:
    return settings.kafka.bootstrap_servers or "–"


def _as_ms(moment: datetime | None) -> int | None:
    """Milliseconds since 1970; a moment without a zone is UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
