"""What the commands about models do: retrain, generate, list, promote, roll back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from ray_apps.jobs.generate import generate_for_all
from ray_apps.registry.entries import ModelEntry
from ray_apps.registry.kinds import generators, rankers
from ray_apps.registry.registry import Registry
from ray_apps.runtime.cluster import ray_cluster
from ray_apps.runtime.console_output import mute
from ray_apps.runtime.feature_store import apply_features
from ray_apps.runtime.home import Home
from ray_apps.runtime.run_file import find_running
from ray_apps.settings import Settings
from ray_apps.training.retrain import retrain
from ray_apps.training.train_generator import train_generator
from ray_apps.training.trigger import RetrainTrigger
from streams.offline.events import EventArchive

LOOP_PAUSE_S = 10.0


def retrain_command(settings: Settings, console: Console, seed: int, generator: bool) -> None:
    """One round of training, a new generator first if asked for or if there is none."""
    settings = _where_it_runs(settings)
    with ray_cluster(settings.ray):
        apply_features(settings)
        if generator or (settings.ranker.use_generated and generators(settings).champion is None):
            _new_generator(settings, console, seed)
        _one_round(settings, console, seed)


def retrain_loop(settings: Settings, console: Console, seed: int) -> None:
    """Round after round, when enough has arrived or enough time has passed; Ctrl-C ends it."""
    settings = _where_it_runs(settings)
    archive = EventArchive(Home(settings.home).events)
    trigger = RetrainTrigger(settings.retrain, archive.num_rows(), time.monotonic())
    console.print(
        f"training every {settings.retrain.every_events:,} new events, or "
        f"{settings.retrain.every_s:,.0f} s after the last time if there is any; Ctrl-C ends it"
    )
    while True:
        time.sleep(LOOP_PAUSE_S)
        if trigger.is_due(archive.num_rows(), time.monotonic()):
            trigger.begin(archive.num_rows(), time.monotonic())
            try:
                _heard_again(settings, console, seed)
            except ValueError as error:
                console.print(f"[yellow]this round failed[/yellow]: {error}")


def _heard_again(settings: Settings, console: Console, seed: int) -> None:
    """One round of the loop; taking Ray down hushes the console, and the loop has more to say."""
    try:
        retrain_command(settings, console, seed, generator=False)
    finally:
        mute.end()


def generate_command(settings: Settings, console: Console) -> None:
    """Generate for all users with the champion among the generators."""
    settings = _where_it_runs(settings)
    version = generators(settings).champion
    if version is None:
        raise ValueError("there is no behaviour generator yet: `reaseq retrain` trains one")
    with ray_cluster(settings.ray):
        apply_features(settings)
        _generate(settings, console, version)


def list_models(settings: Settings, console: Console) -> None:
    """Print both registered models."""
    for title, models in _both(_where_it_runs(settings)).items():
        console.print(_table(title, models.list()))


def promote_command(settings: Settings, console: Console, version: str, kind: str) -> None:
    """Let a version serve."""
    models = _both(_where_it_runs(settings))[kind]
    models.promote(version, "by hand")
    console.print(f"[green]{version} is the champion[/green]: replicas take it within seconds")


def rollback_command(settings: Settings, console: Console, kind: str) -> None:
    """Let the champion before serve again."""
    models = _both(_where_it_runs(settings))[kind]
    version = models.rollback()
    console.print(f"[green]back to {version}[/green]: replicas take it within seconds")


def _both(settings: Settings) -> dict[str, Registry]:
    return {"ranker": rankers(settings), "generator": generators(settings)}


def _where_it_runs(settings: Settings) -> Settings:
    """The home of the system that runs here, a demo's perhaps, or the settings' own."""
    found = find_running(settings.home)
    return settings.at_home(found[0].root if found else settings.home)


def _new_generator(settings: Settings, console: Console, seed: int) -> None:
    with console.status("preparing the behaviour generator's training") as spinner:
        manifest = train_generator(
            settings,
            seed=seed,
            on_epoch=lambda e: spinner.update(
                f"behaviour generator: epoch {e.epoch + 1}/{e.num_epochs} {e.loss:.3f}"
            ),
            on_rows=lambda done, total: spinner.update(
                f"generating for past orders {done}/{total}"
            ),
        )
    generators(settings).promote(manifest.version, "newly trained")
    console.print(f"[green]generator {manifest.version} is trained[/green]")
    _generate(settings, console, manifest.version)


def _generate(settings: Settings, console: Console, version: str) -> None:
    started = time.monotonic()
    with console.status("generating for all users") as spinner:
        made = generate_for_all(
            settings,
            version,
            lambda done, total: spinner.update(f"generating for all users {done:,}/{total:,}"),
        )
    took_s = time.monotonic() - started
    console.print(
        f"{made.num_behaviours:,} behaviours generated for {made.num_users:,} users "
        f"in {took_s:.1f} s"
    )


def _one_round(settings: Settings, console: Console, seed: int) -> None:
    with console.status("joining features as of each order") as spinner:
        outcome = retrain(
            settings,
            seed=seed,
            on_text=lambda done, total: spinner.update(f"encoding item texts {done}/{total}"),
            on_epoch=lambda e: spinner.update(f"epoch {e.epoch + 1}/{e.num_epochs} {e.loss:.3f}"),
            on_compare=lambda: spinner.update("comparing with the champion"),
        )
    version = outcome.challenger.version
    if outcome.promoted:
        console.print(f"[green]{version} takes over[/green]: {outcome.why}")
    else:
        console.print(
            f"[yellow]{outcome.champion} stays champion[/yellow]: {version} has {outcome.why}"
        )


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
