"""What the commands that make models do: retrain, once or again and again, and generate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from ray_apps.cli.registry_commands import where_it_runs
from ray_apps.jobs.generate import generate_after_promotion
from ray_apps.registry.kinds import kind_of, registry_of
from ray_apps.runtime.cluster import ray_cluster
from ray_apps.runtime.console_output import mute, native_output_to
from ray_apps.runtime.feature_store import apply_features, event_archive
from ray_apps.settings import Settings
from ray_apps.training.retrain import retrain
from ray_apps.training.train import Fitter
from ray_apps.training.trigger import RetrainTrigger
from reaseq.errors import NotReadyError, ReaseqError
from reaseq.generator.folder import KIND as GENERATOR

LOOP_PAUSE_S = 10.0


def retrain_command(
    settings: Settings, console: Console, seed: int, kind: str, first: tuple[str, ...] = ()
) -> None:
    """One round of training; the kinds `first`, and those that are needed and missing, before."""
    settings = where_it_runs(settings)
    with _cluster(settings):
        missing = [
            n for n in kind_of(kind).needs(settings) if not registry_of(settings, n).champion
        ]
        for each in dict.fromkeys((*first, *missing, kind)):
            one_round(settings, console, seed, each)


def retrain_loop(settings: Settings, console: Console, seed: int, kind: str) -> None:
    """Round after round, when enough has arrived or enough time has passed; Ctrl-C ends it."""
    settings = where_it_runs(settings)
    archive = event_archive(settings)
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
                _round_of_loop(settings, console, seed, kind)
            except ReaseqError as error:
                console.print(f"[yellow]this round failed[/yellow]: {error}")


def generate_command(settings: Settings, console: Console) -> None:
    """Generate for all users with the champion among the generators."""
    settings = where_it_runs(settings)
    version = registry_of(settings, GENERATOR).champion
    if version is None:
        raise NotReadyError("there is no behaviour generator yet: `reaseq retrain` trains one")
    with _cluster(settings):
        with console.status("generating for all users") as spinner:
            done = generate_after_promotion(
                settings, version, lambda *step: spinner.update(_shown(*step))
            )
        console.print(done)


def one_round(
    settings: Settings, console: Console, seed: int, kind: str, fitter: Fitter | None = None
) -> None:
    """Train one kind, and promote what wins."""

    def on_progress(what: str, done: int, total: int) -> None:
        spinner.update(_shown(what, done, total))

    with console.status(f"preparing the training of the {kind}") as spinner:
        outcome = retrain(
            settings,
            kind,
            seed=seed,
            on_epoch=lambda e: spinner.update(
                f"{kind}: epoch {e.epoch + 1}/{e.num_epochs} {e.loss:.3f}"
            ),
            on_progress=on_progress,
            fitter=fitter,
        )
        version, done = outcome.challenger.version, None
        if outcome.promoted:
            done = kind_of(kind).follow_promotion(settings, version, on_progress)
    if outcome.promoted:
        console.print(f"[green]{kind} {version} takes over[/green]: {outcome.why}")
    else:
        console.print(
            f"[yellow]{kind} {outcome.champion} stays champion[/yellow]: {version} has "
            f"{outcome.why}"
        )
    if done:
        console.print(done)


@contextmanager
def _cluster(settings: Settings) -> Iterator[None]:
    """Ray and the feature store; what Ray's compiled parts print goes to a file of the home."""
    native_output_to(settings.home / "native.log")
    with ray_cluster(settings.ray):
        apply_features(settings)
        yield


def _round_of_loop(settings: Settings, console: Console, seed: int, kind: str) -> None:
    """One round of the loop; taking Ray down mutes the console, and the loop has more to say."""
    try:
        retrain_command(settings, console, seed, kind)
    finally:
        mute.end()


def _shown(what: str, done: int, total: int) -> str:
    return f"{what} {done:,}/{total:,}" if total else what
