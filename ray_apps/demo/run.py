"""The demo from start to report."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import msgspec
from rich.console import Console

from ray_apps.demo.chapters import Chapters
from ray_apps.demo.findings import dead_letter_reasons, knowledge_card, shown_users
from ray_apps.demo.prequential_stream import PrequentialStream
from ray_apps.demo.report import Percentiles, Report, as_svg, day, intervals, qualities, show
from ray_apps.demo.story import Story
from ray_apps.home import Home
from ray_apps.registry import rankers
from ray_apps.stages import Stages
from ray_apps.system import System, foundation, serving_system, stay_until_told, streaming
from ray_apps.text_generation.choose import Choice, available, prepare
from reaseq.datasets.event_log import EventLog
from reaseq.settings import Settings
from streams.features import Features


def run_demo(
    settings: Settings, log: EventLog, split_ms: int, console: Console, keep: bool
) -> Report:
    """Tell the story in `settings.home` and return its report; with `keep`, stay up afterwards.

    What an earlier demo left there is removed first. Raises ValueError for a log without a past or
    a present.
    """
    chapters = Chapters.of(log, split_ms)
    _clear(settings.home)
    choice = available(settings.knowledge)
    console.print(f"[dim]knowledge: {choice.why}[/dim]")
    stages = Stages(console)
    prepare(settings, stages)
    with ExitStack() as stack:
        with stages.stage("start", "Start broker, Ray and feature store") as stage:
            base = stack.enter_context(foundation(settings, stage.doing))
        story = Story(base.settings, chapters, stages)
        with stages.stage("shards", "Start the sequence shards"):
            stream = stack.enter_context(streaming(base))
        story.send_items(base)
        story.backfill()
        with stages.stage("serve", "Start the HTTP application"):
            system = stack.enter_context(serving_system(base, stream))
        # The generator needs no knowledge: the language model works meanwhile.
        story.train_generator()
        story.find_out(choice)
        until = day(chapters.first["event_time_ms"][0].as_py())
        story.train("train_1", f"Train the ranker on all before {until}", None)
        report = _examine(story, system, choice)
        _write(report, settings.home, console)
        if keep:
            console.print(
                f"\nThe system stays up at [link]{system.url}/docs[/link]; Ctrl-C ends it."
            )
            stay_until_told(system.stream)
    return report


def _examine(story: Story, system: System, choice: Choice) -> Report:
    """Stream, retrain, stream, and put everything that was seen together."""
    chapters = story.chapters
    features = Features.open(story.home.features)
    champion = rankers(story.settings).champion
    assert champion is not None
    evaluation = story.evaluation(champion)
    with (
        closing(system.log.writer()) as writer,
        httpx.Client(base_url=system.url, timeout=30) as client,
    ):
        run = PrequentialStream(system.settings, features, writer, evaluation, client)
        title = f"Score and stream {chapters.first.num_rows:,} events"
        story.stream("stream_1", title, run, chapters.first)
        story.introduce_new_item(system)
        story.retrain(evaluation)
        title = f"Score and stream {chapters.second.num_rows:,} events"
        story.stream("stream_2", title, run, chapters.second)
    num_mismatches, num_users = story.mismatches()
    story.note_knowledge(choice)
    reasons = dead_letter_reasons(system)
    report = evaluation.report()
    estimates = evaluation.estimates()
    assert story.generated is not None
    return Report(
        events_backfilled=chapters.history.num_rows,
        events_streamed=run.num_sent,
        duplicates_sent=run.num_duplicates,
        events_per_second=round(run.num_sent / run.streaming_s, 1),
        freshness_ms=Percentiles.of(run.freshness_ms),
        dead_letters=len(reasons),
        dead_letter_reasons=reasons,
        sequence_mismatches=num_mismatches,
        users=num_users,
        orders_scored=report["ranker"].num_orders,
        targets_scored=report["ranker"].num_targets,
        hit_rate_at_20=qualities(report, estimates, "hit_rate"),
        ndcg_at_20=qualities(report, estimates, "ndcg"),
        intervals=intervals(estimates),
        gains_over_plain=intervals(evaluation.differences("ranker_plain")),
        recommend_ms=Percentiles.of(run.recommend_ms),
        knowledge=story.knowledge,
        generated=msgspec.structs.replace(story.generated, hit_rate_at_20=run.beyond_log_hit_rate),
        new_item=story.new_item,
        models=story.models,
        left_out=dict(chapters.log.left_out),
        seconds=story.stages.seconds,
        shown=shown_users(story, system, features),
        knowledge_card=knowledge_card(story, features),
    )


def _write(report: Report, home: Path, console: Console) -> None:
    """The report as JSON, on the console, and as a picture of the console."""
    file = home / "report.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (home / "report.svg").write_text(as_svg(report))
    show(report, console)
    console.print(f"report: {file} and report.svg beside it")


def _clear(home: Path) -> None:
    """Remove an earlier demo, but for what depends on nothing else and takes long to make."""
    kept = (Home(home).text_vectors, Home(home).language_models)
    if not home.exists():
        return
    for entry in home.iterdir():
        if entry in kept:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
