"""The command line. Heavy imports wait until a command needs them, so `--help` is quick."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_apps.cli.console import console, settings_for
from ray_apps.cli.file_flags import FileFlags, takes_file_flags
from ray_apps.registry.kinds import MODEL_KINDS
from ray_apps.runtime.console_output import quiet_third_parties
from ray_apps.runtime.process_end import run_to_the_end
from ray_apps.runtime.threads import one_thread

if TYPE_CHECKING:
    from streams.log.dead_letter_topic import Wanted

app = typer.Typer(
    name="reaseq",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="A distributed, streaming recommender that reasons, on Ray. "
    "Start with [bold]reaseq doctor[/bold], then [bold]reaseq demo[/bold].",
    pretty_exceptions_enable=False,
)

RANKER = next(iter(MODEL_KINDS))
"""The kind that is meant where none is named."""

models = typer.Typer(
    no_args_is_help=True, help="The model registry: list, promote, roll back, look."
)
app.add_typer(models, name="models")
deploy = typer.Typer(no_args_is_help=True, help="What a cluster needs to know.")
app.add_typer(deploy, name="deploy")
dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Records that could not be used: list them, look at one, send them back.",
)
app.add_typer(dead_letters, name="dead-letters")


def _wanted(reason: str | None, topic: str | None, since: str | None) -> Wanted:
    """Which dead letters the options ask for. Raises InputError for a moment that is none."""
    from ray_apps.cli.moments import moment_ms
    from streams.log.dead_letter_topic import Wanted

    since_ms = moment_ms(since, time.time_ns() // 1_000_000) if since else None
    return Wanted(reason, topic, since_ms)


def _known_kind(name: str) -> str:
    if name not in MODEL_KINDS:
        raise typer.BadParameter(f"there are {', '.join(MODEL_KINDS)}")
    return name


KindOption = Annotated[
    str,
    typer.Option("--model", callback=_known_kind, help=f"One of {', '.join(MODEL_KINDS)}."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file with settings; see `reaseq settings`."),
]

ReasonOption = Annotated[
    str | None, typer.Option(help="Only those with this in their reason, in any case.")
]
TopicOption = Annotated[str | None, typer.Option(help="Only those that came from this topic.")]
SinceOption = Annotated[
    str | None,
    typer.Option(help="Only those set aside since: an age (90m, 2h, 7d) or a time (UTC)."),
]


def main() -> None:
    """Entry point of the `reaseq` command."""
    one_thread()
    quiet_third_parties()
    run_to_the_end(app)


@app.command()
@takes_file_flags
def demo(
    files: FileFlags,
    users: Annotated[
        int | None, typer.Option(min=1, help="Only the N busiest users, for a shorter demo.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running at the end.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """The whole loop on real data: backfill, train, stream, retrain, report.

    About six minutes on two cores.
    """
    with settings_for(config) as settings:
        from ray_apps.cli.demo_command import demo_command

        demo_command(settings, files, users, keep, console)


@app.command()
def up(config: ConfigOption = None) -> None:
    """Start everything and stay: broker (unless one is set), Ray, shards, HTTP."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import up_command

        up_command(settings, console)


@app.command()
def down(config: ConfigOption = None) -> None:
    """Stop the system that `up` or `demo --keep` started here, and wait for its end."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import down_command

        down_command(settings, console)


@app.command()
def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Lag, freshness, event counts and model version of the running system."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import status_command

        status_command(settings, console, as_json)


@dead_letters.command("list")
def list_dead_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many letters to show.")] = 20,
    config: ConfigOption = None,
) -> None:
    """The newest dead letters with id, age, source and reason, and the counts by reason.

    The source is TOPIC PARTITION@OFFSET of the record as it came.
    The id is the letter's own place, for `show` and `requeue`.

    Example: reaseq dead-letters list --since 2h --reason event_time
    """
    with settings_for(config) as settings:
        from ray_apps.cli.dead_letter_commands import commands_for

        wanted = _wanted(reason, topic, since)
        commands_for(settings, console).list(wanted, limit)


@dead_letters.command("show")
def show_dead_letter(
    letter_id: Annotated[
        str, typer.Argument(metavar="PARTITION@OFFSET", help="The id that `list` shows.")
    ],
    config: ConfigOption = None,
) -> None:
    """All that a dead letter holds: reason, source, key, headers and value.

    Control characters are printed as escapes,
    and what is not UTF-8 as Python writes bytes.

    Example: reaseq dead-letters show 0@17
    """
    with settings_for(config) as settings:
        from ray_apps.cli.dead_letter_commands import commands_for

        commands_for(settings, console).show(letter_id)


@dead_letters.command("requeue")
def requeue_dead_letters(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARTITION@OFFSET", help="Ids that `list` shows."),
    ] = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    take_all: Annotated[bool, typer.Option("--all", help="Every dead letter there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send dead letters back to the topics they came from, once their cause is gone.

    Give ids, or a filter, or --all.
    Key, value and headers are the original ones; the header
    `reaseq.requeues` counts how often a record was sent back.
    An event from another partition than its user's gets the right one.
    Truncated letters are refused.

    Letters stay in the topic: `--since` leaves out those sent before.
    Sending one twice does no harm.

    Example: reaseq dead-letters requeue --reason "belongs to" --since 1d
    """
    with settings_for(config) as settings:
        from ray_apps.cli.dead_letter_commands import commands_for

        wanted = _wanted(reason, topic, since)
        commands_for(settings, console).requeue(ids or [], wanted, take_all, yes)


@app.command()
@takes_file_flags
def replay(
    files: FileFlags,
    users: Annotated[int | None, typer.Option(min=1, help="Only the N busiest users.")] = None,
    start: Annotated[
        datetime | None, typer.Option(help="Only events from this moment on (UTC).")
    ] = None,
    end: Annotated[datetime | None, typer.Option(help="Only events before this moment.")] = None,
    config: ConfigOption = None,
) -> None:
    """Send a log's items and events through Kafka into the running system."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import replay_command

        replay_command(settings, console, files, users, start, end)


@app.command()
def stream(config: ConfigOption = None) -> None:
    """Run only the sequence shards, against the broker of the settings. Ctrl-C stops them."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import stream_command

        stream_command(settings, console)


@app.command()
def retrain(
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    generator: Annotated[
        bool, typer.Option("--generator", help="Train a new behaviour generator first.")
    ] = False,
    kind: KindOption = RANKER,
    loop: Annotated[
        bool,
        typer.Option("--loop", help="Stay, and train whenever `retrain.every_…` say it is time."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Train on what has arrived; the new model takes over if it beats the champion."""
    with settings_for(config) as settings:
        from ray_apps.cli import model_commands

        if loop:
            model_commands.retrain_loop(settings, console, seed, kind)
        else:
            first = ("generator",) if generator else ()
            model_commands.retrain_command(settings, console, seed, kind, first)


@app.command()
def generate(config: ConfigOption = None) -> None:
    """Generate behaviours for all users, online and offline, with the generator that serves."""
    with settings_for(config) as settings:
        from ray_apps.cli.model_commands import generate_command

        generate_command(settings, console)


@models.command("list")
def list_command(config: ConfigOption = None) -> None:
    """Every version with its verdict, and which one serves."""
    with settings_for(config) as settings:
        from ray_apps.cli.registry_commands import list_models

        list_models(settings, console)


@models.command()
def promote(
    version: Annotated[str, typer.Argument(help="For example v0002.")],
    kind: KindOption = RANKER,
    config: ConfigOption = None,
) -> None:
    """Let a version serve; running replicas take it without a restart."""
    with settings_for(config) as settings:
        from ray_apps.cli.registry_commands import promote_command

        promote_command(settings, console, version, kind)


@models.command()
def rollback(kind: KindOption = RANKER, config: ConfigOption = None) -> None:
    """Let the champion before the present one serve again; once more goes back further."""
    with settings_for(config) as settings:
        from ray_apps.cli.registry_commands import rollback_command

        rollback_command(settings, console, kind)


@models.command()
def ui(
    host: Annotated[str, typer.Option(help="The interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 5000,
    config: ConfigOption = None,
) -> None:
    """Open MLflow's pages on every training, version and promotion. Ctrl-C ends them."""
    with settings_for(config) as settings:
        from ray_apps.cli.ui_command import ui_command

        ui_command(settings, console, host, port)


@deploy.command("serve-config")
def serve_config(config: ConfigOption = None) -> None:
    """Print the configuration for `serve deploy` (and RayService) that the settings make."""
    with settings_for(config) as settings:
        from ray_apps.serving.deploy_config import serve_yaml

        typer.echo(serve_yaml(settings), nl=False)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run only the HTTP application, on the features of this home. Ctrl-C stops it."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import serve_command

        serve_command(settings, console)


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    scene: Annotated[str, typer.Option(help="guess or post_buy.")] = "guess",
    k: Annotated[int, typer.Option("-k", min=1, help="How many items.")] = 10,
    config: ConfigOption = None,
) -> None:
    """Ask the running system what to show a user now."""
    with settings_for(config) as settings:
        from ray_apps.cli.system_commands import recommend_command

        recommend_command(settings, console, user, scene, k)


@app.command()
def verify(
    users: Annotated[int, typer.Option(min=1, help="How many users, chosen at random.")] = 1000,
    everybody: Annotated[bool, typer.Option("--all", help="All users.")] = False,
    impressions: Annotated[
        int, typer.Option(min=0, help="How many of the newest recommendations.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Chooses the users.")] = 0,
    config: ConfigOption = None,
) -> None:
    """Recompute features from the archived events and compare: online, and as they were served.

    Says in what they differ, with examples and what to do. Exits with 1 if anything does.
    """
    with settings_for(config) as settings:
        from ray_apps.cli.verify_command import verify_command

        number = None if everybody else users
        verify_command(settings, console, number, impressions, seed)


@app.command()
def erase(
    user: Annotated[str, typer.Argument(help="User id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait for a running stream.")
    ] = 60.0,
    config: ConfigOption = None,
) -> None:
    """Take a user out of everything that is kept: features, events, checkpoints, memory.

    What happened until now is never taken in again, from whatever replay or backfill;
    what the user does later is a newcomer's.
    Prints what there was and what is left, and exits with 1 if anything is.
    Kafka's own topics keep their records until their retention is over.

    Works beside a running stream and without one. Training sets made later are without the user;
    models that were trained before are not changed.

    Example: reaseq erase u17
    """
    with settings_for(config) as settings:
        from ray_apps.cli.erase_command import erase_command

        erase_command(settings, console, user, timeout_s, yes)


@app.command()
def doctor(config: ConfigOption = None) -> None:
    """Check this machine and say how to fix what is missing."""
    with settings_for(config) as settings:
        from ray_apps.cli.doctor import examine
        from ray_apps.cli.tables import findings_table

        findings = examine(settings)
    console.print(findings_table(findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command(name="settings")
def show_settings(config: ConfigOption = None) -> None:
    """Print every setting as it is in force, as TOML that `--config` takes."""
    with settings_for(config) as settings:
        from reaseq.settings.toml import to_toml

        typer.echo(to_toml(settings), nl=False)
