"""What the commands do; `ray_apps.cli` only declares them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ray_apps.console import status_tables
from ray_apps.home import Home
from ray_apps.logs import read_source
from ray_apps.run_file import Running, find_running
from ray_apps.serving.app import serving
from ray_apps.stages import Stages
from ray_apps.status import read_status
from ray_apps.system import (
    foundation,
    serving_system,
    stay_until_told,
    streaming,
    unwind_on_sigterm,
    wait_for_interrupt,
)
from ray_apps.text_generation.choose import prepare
from reaseq.datasets.event_log import EventLog
from reaseq.settings import KafkaSettings, Settings
from streams.codec import event_codec, item_codec
from streams.kafka_log import KafkaLog
from streams.replay import replay

DOWN_TIMEOUT_S = 60.0

REPLAY_CHUNK = 5000


def up_command(settings: Settings, console: Console) -> None:
    """Start everything and stay."""
    unwind_on_sigterm()
    prepare(settings, Stages(console))
    with ExitStack() as stack:
        with console.status("starting") as spinner:

            def say(what: str) -> None:
                spinner.update(f"starting {what}")

            base = stack.enter_context(foundation(settings, say))
            say("sequence shards")
            stream = stack.enter_context(streaming(base))
            say("HTTP application")
            system = stack.enter_context(serving_system(base, stream))
        console.print(f"[green]up[/green]  {system.url}/docs  Kafka {_broker(base.settings)}")
        console.print("Ctrl-C or `reaseq down` stops it; `reaseq status` tells how it is doing")
        stay_until_told(stream)
        console.print("stopping")


def stream_command(settings: Settings, console: Console) -> None:
    """Run the shards alone."""
    unwind_on_sigterm()
    with foundation(settings, lambda what: None) as base, streaming(base) as stream:
        console.print(f"[green]streaming[/green] from Kafka {_broker(base.settings)}; Ctrl-C stops")
        stay_until_told(stream)


def serve_command(settings: Settings, console: Console) -> None:
    """Run the application alone."""
    unwind_on_sigterm()
    prepare(settings, Stages(console))
    with foundation(settings, lambda what: None) as base, serving(base.settings) as url:
        console.print(f"[green]serving[/green] {url}/docs; Ctrl-C stops")
        wait_for_interrupt()


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
                raise ValueError(
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
    file: Path | None,
    mapping: str,
    types: str,
    users: int | None,
    start: str | None,
    end: str | None,
) -> None:
    """Send a log through Kafka."""
    log = read_source(file, mapping, types, users)
    log = log._replace(events=log.between(_as_ms(start), _as_ms(end)))
    max_bytes = settings.kafka.max_event_bytes
    codec = event_codec(max_bytes)
    with closing(KafkaLog(_kafka_of(settings)).writer()) as writer:
        replay(log.items, "item_id", settings.topics.items, item_codec(max_bytes), writer)
        started = time.monotonic()
        for place in track(range(0, log.events.num_rows, REPLAY_CHUNK), "events", console=console):
            chunk = log.events.slice(place, REPLAY_CHUNK)
            replay(chunk, "user_id", settings.topics.events, codec, writer)
    _report_replay(log, time.monotonic() - started, console)


def recommend_command(settings: Settings, console: Console, user: str, scene: str, k: int) -> None:
    """Ask the running system."""
    _, running = _running(settings)
    url = f"{running.url}/v1/users/{user}/recommendations"
    answer = httpx.get(url, params={"scene": scene, "k": k}, timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise ValueError(f"the system answered {answer.status_code}: {answer.text}")
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
        raise ValueError(f"nothing runs in {settings.home}: start it with `reaseq up`")
    return found


def _kafka_of(settings: Settings) -> KafkaSettings:
    """The broker of the running system, or the one in the settings."""
    found = find_running(settings.home)
    if found:
        update = {"bootstrap_servers": found[1].bootstrap_servers}
        return settings.kafka.model_copy(update=update)
    if not settings.kafka.bootstrap_servers:
        raise ValueError(
            "no broker: start the system with `reaseq up`, or set kafka.bootstrap_servers"
        )
    return settings.kafka


def _broker(settings: Settings) -> str:
    return settings.kafka.bootstrap_servers or "–"


def _as_ms(text: str | None) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _report_replay(log: EventLog, took_s: float, console: Console) -> None:
    rate = log.events.num_rows / max(took_s, 1e-9)
    console.print(
        f"sent {log.items.num_rows:,} items and {log.events.num_rows:,} events ({rate:,.0f}/s)"
    )
    for reason, num in log.left_out.items():
        if num:
            console.print(f"[yellow]left out[/yellow] {num:,} rows: {reason}")
