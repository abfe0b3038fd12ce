"""The demo from start to report."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import msgspec
from rich.console import Console

from ray_apps.demo.findings import dead_letter_reasons, knowledge_card, shown_users
from ray_apps.demo.prequential_stream import PrequentialStream
from ray_apps.demo.report import DemoReport, Percentiles, as_svg, day, intervals, qualities, show
from ray_apps.demo.split import DemoSplit
from ray_apps.demo.stages import DemoRun
from ray_apps.registry.kinds import registry_of
from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.settings import Settings
from ray_apps.system import System, infrastructure, run_until_stopped, serving_system, streaming
from ray_apps.text_generation.choose import Choice, available, prepare
from reaseq.datasets.event_log import EventLog
from streams.feature_store.features import Features


def run_demo(
    settings: Settings, log: EventLog, split_ms: int, console: Console, keep: bool
) -> DemoReport:
    """Run the demo in `settings.home` and return its report; with `keep`, stay up afterwards.

    What an earlier demo left there is removed first. Raises InputError for a log without a past
    or a present.
    """
    split = DemoSplit.of(log, split_ms)
    _clear(settings.home)
    choice = available(settings.knowledge)
    console.print(f"[dim]knowledge: {choice.why}[/dim]")
    stages = Stages(console)
    prepare(settings, stages)
    with ExitStack() as stack:
        with stages.stage("start", "Start broker, Ray and feature store") as stage:
            base = stack.enter_context(infrastructure(settings, stage.doing))
        run = DemoRun(base.settings, split, stages)
        with stages.stage("shards", "Start the sequence shards"):
            stream = stack.enter_context(streaming(base))
        run.send_items(base)
        run.backfill()
        with stages.stage("serve", "Start the HTTP application"):
            system = stack.enter_context(serving_system(base, stream))
        # The generator needs no knowledge: the language model works meanwhile.
        run.train_generator()
        run.find_out(choice)
        until = day(split.first["event_time_ms"][0].as_py())
        run.train("train_1", f"Train the ranker on all before {until}", None)
        report = _examine(run, system, choice)
        _write(report, settings.home, console)
        if keep:
            console.print(
                f"\nThe system stays up at [link]{system.url}/docs[/link]; Ctrl-C ends it."
            )
            run_until_stopped(system.stream, console.print)
    return report


def _examine(run: DemoRun, system: System, choice: Choice) -> DemoReport:
    """Stream, retrain, stream, and put everything that was seen together."""
    split = run.split
    features = Features.open(run.home.features)
    champion = registry_of(run.settings, "ranker").champion
    assert champion is not None
    evaluation = run.evaluation(champion)
    with (
        closing(system.log.writer()) as writer,
        httpx.Client(base_url=system.url, timeout=30) as client,
    ):
        stream = PrequentialStream(system.settings, features, writer, evaluation, client)
        title = f"Score and stream {split.first.num_rows:,} events"
        run.stream("stream_1", title, stream, split.first)
        run.introduce_new_item(system)
        run.retrain(evaluation)
        title = f"Score and stream {split.second.num_rows:,} events"
        run.stream("stream_2", title, stream, split.second)
    num_mismatches, num_users = run.mismatches()
    run.note_knowledge(choice)
    reasons = dead_letter_reasons(system)
    report = evaluation.report()
    estimates = evaluation.estimates()
    assert run.generated is not None
    return DemoReport(
        events_backfilled=split.history.num_rows,
        events_streamed=stream.num_sent,
        duplicates_sent=stream.num_duplicates,
        events_per_second=round(stream.num_sent / stream.streaming_s, 1),
        freshness_ms=Percentiles.of(stream.freshness_ms),
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
        recommend_ms=Percentiles.of(stream.recommend_ms),
        knowledge=run.knowledge,
        generated=msgspec.structs.replace(run.generated, hit_rate_at_20=stream.beyond_log_hit_rate),
        new_item=run.new_item,
        models=run.models,
        left_out=dict(split.log.left_out),
        seconds=run.stages.seconds,
        shown=shown_users(run, system, features),
        knowledge_card=knowledge_card(run, features),
    )


def _write(report: DemoReport, home: Path, console: Console) -> None:
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
