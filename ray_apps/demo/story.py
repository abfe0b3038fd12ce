"""The demo's story: backfill a shop's past, train, stream its present, train again, look back."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from ray_apps.backfill import backfill_events
from ray_apps.demo.prequential_stream import PrequentialStream
from ray_apps.demo.report import (
    ModelReport,
    Percentiles,
    Report,
    ShownItem,
    ShownUser,
    as_svg,
    day,
    qualities,
    show,
)
from ray_apps.demo.stages import Stages
from ray_apps.home import Home
from ray_apps.models import Models
from ray_apps.system import (
    Foundation,
    System,
    foundation,
    serving_system,
    stay_until_told,
    streaming,
)
from ray_apps.training.compare import compare
from ray_apps.training.train import train_model
from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.popularity import Popularity
from reaseq.datasets.event_log import EventLog
from reaseq.evaluation.prequential import PrequentialEvaluation, Scorer
from reaseq.ranker.folder import ModelManifest
from reaseq.ranker.ranker import RankerScorer
from reaseq.recommender import Recommender
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from reaseq.settings import Settings
from reaseq.vocabulary import ItemVocabulary
from streams.codec import item_codec
from streams.dead_letters import read_dead_letter
from streams.features import Features
from streams.log import LogError, Partition
from streams.replay import replay

HELD_OUT_MS = 7 * 86_400_000
"""The champion and its challenger are compared on the newest week, which neither was trained on."""

POLL_S = 0.1

NUM_SHOWN_USERS = 3
NUM_SHOWN_ITEMS = 6

BAD_RECORDS = (
    b"this is no JSON",
    b'{"event_id":"x","user_id":"u","item_id":"i","event_type":"teleport","event_time_ms":1}',
    b'{"event_id":"x","user_id":"u","item_id":"i","event_type":"view","event_time_ms":-1}',
    b'{"event_id":"x","user_id":"u","context":{"note":"' + b"x" * 2_000_000 + b'"}}',
)
"""Sent among the events: no JSON, an unknown type, a negative time, two megabytes."""


@dataclass(frozen=True)
class Chapters:
    """The log cut in time: what is history, and the two halves that are streamed."""

    log: EventLog
    history: pa.Table
    first: pa.Table
    second: pa.Table

    @classmethod
    def of(cls, log: EventLog, split_ms: int) -> Chapters:
        """History before `split_ms`; the rest halved by number of events, not within a moment."""
        rest = log.between(split_ms, None)
        if not rest.num_rows or rest.num_rows == log.events.num_rows:
            raise ValueError(
                f"the log must have events before and after {day(split_ms)}: "
                f"it has {log.events.num_rows:,} in all"
            )
        half_ms = rest["event_time_ms"][rest.num_rows // 2].as_py()
        return cls(
            log,
            log.between(None, split_ms),
            log.between(split_ms, half_ms),
            log.between(half_ms, None),
        )


@dataclass
class Story:
    """What happens, in order. Each method is one stage."""

    settings: Settings
    chapters: Chapters
    stages: Stages
    models: list[ModelReport] = field(default_factory=list)

    @property
    def home(self) -> Home:
        """The demo's home folder."""
        return Home(self.settings.home)

    def send_items(self, base: Foundation) -> None:
        """The catalogue goes through Kafka like everything else."""
        items = self.chapters.log.items
        with self.stages.stage("items", "Catalogue through Kafka into the features") as stage:
            writer = base.log.writer()
            codec = item_codec(self.settings.kafka.max_event_bytes)
            replay(items, "item_id", self.settings.topics.items, codec, writer)
            writer.close()
            features = Features.open(self.home.features)
            while (have := features.catalogue().num_rows) < items.num_rows:
                stage.at(have, items.num_rows)
                time.sleep(POLL_S)

    def backfill(self) -> None:
        """The past goes from Parquet through the same merge."""
        file = self.settings.home / "history.parquet"
        pq.write_table(self.chapters.history, file)
        total = self.chapters.history.num_rows
        with self.stages.stage("backfill", f"Backfill {total:,} events from Parquet") as stage:
            backfill_events(
                self.settings, file, progress=lambda num: stage.advance(num, total=total)
            )

    def train(self, name: str, title: str, before_ms: int | None) -> ModelManifest:
        """One training."""
        with self.stages.stage(name, title) as stage:
            stage.doing("joining features as of each order")
            epochs = self.settings.ranker.num_epochs
            return train_model(
                self.settings,
                before_ms=before_ms,
                on_text=lambda done, total: stage.doing(f"encoding item texts {done}/{total}"),
                on_epoch=lambda epoch: stage.at(epoch.epoch + 1, epochs),
            )

    def enthrone(self, manifest: ModelManifest) -> None:
        """The first model has nobody to beat."""
        Models(self.home.models).promote(manifest.version)
        self.models.append(
            ModelReport(
                version=manifest.version,
                trained_up_to=day(manifest.trained_up_to_ms),
                metric="ndcg_at_20",
                value=None,
                champion_value=None,
                promoted=True,
                why="the first model",
            )
        )

    def evaluation(self) -> PrequentialEvaluation:
        """Popularity and co-occurrence as of the split, and the champion."""
        item_ids = sorted(self.chapters.log.items["item_id"].to_pylist())
        vocabulary = ItemVocabulary(item_ids)
        popularity, co_occurrence = Popularity(vocabulary), CoOccurrence(vocabulary)
        for baseline in (popularity, co_occurrence):
            baseline.observe(self.chapters.history)
        version = Models(self.home.models).champion
        assert version is not None
        scorers: dict[str, Scorer] = {
            "popularity": popularity,
            "co_occurrence": co_occurrence,
            "ranker": self._scorer(version, item_ids),
        }
        return PrequentialEvaluation(item_ids, scorers)

    def stream(self, name: str, title: str, run: PrequentialStream, events: pa.Table) -> None:
        """Score and stream one chapter, with bad records among the good."""
        with self.stages.stage(name, title) as stage:
            for bad in BAD_RECORDS[:2] if name == "stream_1" else BAD_RECORDS[2:]:
                run.send_raw(bad)
            run.run(events, lambda num: stage.advance(num, total=events.num_rows))

    def retrain(self, evaluation: PrequentialEvaluation) -> None:
        """Train on all but the newest week of what has arrived, and promote what wins on it."""
        end_ms = self.chapters.second["event_time_ms"][0].as_py()
        start_ms = end_ms - HELD_OUT_MS
        models = Models(self.home.models)
        champion = models.champion
        assert champion is not None
        challenger = self.train("train_2", "Train again on what has arrived", start_ms)
        with self.stages.stage("compare", "Compare champion and challenger on the newest week"):
            comparison = compare(self.home, champion, challenger.version, start_ms, end_ms)
        won = comparison.challenger_wins
        if won:
            models.promote(challenger.version)
            scorer = self._scorer(challenger.version, evaluation.items.item_ids)
            scorer.observe(_between(self.chapters, challenger.trained_up_to_ms, end_ms))
            evaluation.replace("ranker", scorer)
        self.models.append(
            ModelReport(
                version=challenger.version,
                trained_up_to=day(challenger.trained_up_to_ms),
                metric="ndcg_at_20",
                value=round(comparison.challenger.ndcg, 5),
                champion_value=round(comparison.champion.ndcg, 5),
                promoted=won,
                why=f"on {comparison.champion.num_orders:,} orders of "
                f"{day(start_ms)} to {day(end_ms)}",
            )
        )

    def mismatches(self) -> tuple[int, int]:
        """(users unlike the batch recomputation, users) over everything that was sent."""
        with self.stages.stage("compare_sequences", "Recompute all sequences in one batch"):
            everything = pa.concat_tables(
                [self.chapters.history, self.chapters.first, self.chapters.second]
            )
            oracle = newest_distinct_events(everything, self.settings.stream.max_sequence_events)
            rows = Features.open(self.home.features).read_sequences(sorted(oracle))
            return len(mismatched_users(rows, oracle)), len(oracle)

    def _scorer(self, version: str, item_ids: tuple[str, ...] | list[str]) -> RankerScorer:
        ranker = Recommender.load(Models(self.home.models).folder_of(version)).ranker
        assert ranker is not None
        return ranker.over(item_ids)


def run_demo(
    settings: Settings, log: EventLog, split_ms: int, console: Console, keep: bool
) -> Report:
    """Tell the story in `settings.home` and return its report; with `keep`, stay up afterwards.

    What an earlier demo left there is removed first. Raises ValueError for a log without a past or
    a present.
    """
    chapters = Chapters.of(log, split_ms)
    _clear(settings.home)
    stages = Stages(console)
    with ExitStack() as stack:
        with stages.stage("start", "Start broker, Ray and feature store") as stage:
            base = stack.enter_context(foundation(settings, stage.doing))
        story = Story(base.settings, chapters, stages)
        with stages.stage("shards", "Start the sequence shards"):
            stream = stack.enter_context(streaming(base))
        story.send_items(base)
        story.backfill()
        until = day(chapters.first["event_time_ms"][0].as_py())
        story.enthrone(story.train("train_1", f"Train the ranker on all before {until}", None))
        with stages.stage("serve", "Start the HTTP application"):
            system = stack.enter_context(serving_system(base, stream))
        report = _examine(story, system)
        _write(report, settings.home, console)
        if keep:
            console.print(
                f"\nThe system stays up at [link]{system.url}/docs[/link]; Ctrl-C ends it."
            )
            stay_until_told(system.stream)
    return report


def _examine(story: Story, system: System) -> Report:
    """Stream, retrain, stream, and put everything that was seen together."""
    chapters = story.chapters
    features = Features.open(story.home.features)
    writer = system.log.writer()
    evaluation = story.evaluation()
    run = PrequentialStream(system.settings, features, writer, evaluation, system.url)
    try:
        story.stream(
            "stream_1", f"Score and stream {chapters.first.num_rows:,} events", run, chapters.first
        )
        story.retrain(evaluation)
        story.stream(
            "stream_2",
            f"Score and stream {chapters.second.num_rows:,} events",
            run,
            chapters.second,
        )
    finally:
        writer.close()
    num_mismatches, num_users = story.mismatches()
    reasons = _dead_letter_reasons(system)
    report = evaluation.report()
    hits, ndcgs = qualities(report)
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
        hit_rate_at_20=hits,
        ndcg_at_20=ndcgs,
        recommend_ms=Percentiles.of(run.recommend_ms),
        models=story.models,
        left_out=dict(chapters.log.left_out),
        seconds=story.stages.seconds,
        shown=_shown_users(story, system, features),
    )


def _dead_letter_reasons(system: System) -> list[str]:
    partitions = system.log.partitions(system.settings.topics.dead_letters)
    reader = system.log.reader("reaseq-demo")
    try:
        reader.assign(dict.fromkeys(partitions, 0))
        wanted = sum(reader.end_offsets(partitions).values())
        letters: dict[tuple[Partition, int], str] = {}
        while len(letters) < wanted:
            batches = reader.poll(5.0, 100)
            if not batches:
                raise LogError(f"{wanted} dead letters announced, {len(letters)} came")
            for record in (record for batch in batches for record in batch.records):
                letter = read_dead_letter(record)
                letters[letter.source, letter.offset] = letter.reason
        return list(letters.values())
    finally:
        reader.close()


def _shown_users(story: Story, system: System, features: Features) -> list[ShownUser]:
    """The last users of the stream: what they bought, and what the API now recommends them."""
    users = list(dict.fromkeys(reversed(story.chapters.second["user_id"].to_pylist())))
    shown = []
    for user_id in users[:NUM_SHOWN_USERS]:
        row = features.read_sequences([user_id]).to_pylist()[0]
        newest = list(dict.fromkeys(reversed(row["item_ids"])))[:NUM_SHOWN_ITEMS]
        titles = {i["item_id"]: i["title"] for i in features.read_items(newest).to_pylist()}
        answer = httpx.get(
            f"{system.url}/v1/users/{user_id}/recommendations", params={"k": NUM_SHOWN_ITEMS}
        ).json()
        shown.append(
            ShownUser(
                user_id=user_id,
                bought=[ShownItem(item_id, titles.get(item_id, item_id)) for item_id in newest],
                recommended=[
                    ShownItem(item["item_id"], item["title"] or item["item_id"])
                    for item in answer["items"]
                ],
            )
        )
    return shown


def _between(chapters: Chapters, after_ms: int, end_ms: int) -> pa.Table:
    events = pa.concat_tables([chapters.history, chapters.first])
    times_ms = events["event_time_ms"]
    return events.filter(pc.and_(pc.greater(times_ms, after_ms), pc.less(times_ms, end_ms)))


def _write(report: Report, home: Path, console: Console) -> None:
    """The report as JSON, on the console, and as a picture of the console."""
    file = home / "report.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (home / "report.svg").write_text(as_svg(report))
    show(report, console)
    console.print(f"report: {file} and report.svg beside it")


def _clear(home: Path) -> None:
    """Remove an earlier demo, but for the encoded texts, which depend on nothing else."""
    if not home.exists():
        return
    for entry in home.iterdir():
        if entry == Home(home).text_vectors:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
