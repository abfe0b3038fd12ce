"""The demo's stages: what happens on the platform, each with its bar and its time."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ray import serve

from ray_apps.demo.prequential_stream import PrequentialStream
from ray_apps.demo.report import GeneratedReport, KnowledgeReport, ModelReport, NewItemReport, day
from ray_apps.demo.split import DemoSplit
from ray_apps.jobs.backfill import backfill_events
from ray_apps.jobs.generate import generate_for_all
from ray_apps.registry.kinds import load_version, registry_of
from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.serving.deploy_config import APPLICATION
from ray_apps.serving.knowledge import KnowledgeProgress
from ray_apps.settings import Settings
from ray_apps.system import Infrastructure, System
from ray_apps.text_generation.choose import Choice
from ray_apps.training.retrain import Outcome, retrain
from reaseq.candidates.baselines import baselines
from reaseq.candidates.nearest import NearestItems
from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.feature_views import ITEMS, SEQUENCES
from reaseq.ranker.ranker import RankerScorer
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import NEW
from reaseq.representations.item_text import item_text
from reaseq.representations.text_encoder import SentenceEncoder
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.features import Features
from streams.log.codec import item_codec
from streams.log.replay import replay

POLL_S = 0.1

KNOWLEDGE_TIMEOUT_S = 420.0
"""For loading a small model and two dozen items on a busy laptop; then the demo goes on without."""

NEW_ITEM_TIMEOUT_S = 60.0
NUM_LIKELY_BUYERS = 20

BAD_RECORDS = (
    b"this is no JSON",
    b'{"event_id":"x","user_id":"u","item_id":"i","event_type":"teleport","event_time_ms":1}',
    b'{"event_id":"x","user_id":"u","item_id":"i","event_type":"view","event_time_ms":-1}',
    b'{"event_id":"x","user_id":"u","context":{"note":"' + b"x" * 2_000_000 + b'"}}',
)
"""Sent among the events: no JSON, an unknown type, a negative time, two megabytes."""


@dataclass
class DemoRun:
    """What happens, in order. Each method is one stage."""

    settings: Settings
    split: DemoSplit
    stages: Stages
    models: list[ModelReport] = field(default_factory=list)
    generated: GeneratedReport | None = None
    knowledge: KnowledgeReport | None = None
    new_item: NewItemReport | None = None

    @property
    def home(self) -> Home:
        """The demo's home folder."""
        return Home(self.settings.home)

    def send_items(self, base: Infrastructure) -> None:
        """The catalogue goes through Kafka like everything else."""
        items = self.split.first_items
        with self.stages.stage("items", "Catalogue through Kafka into the features") as stage:
            self._send_items(base, items)
            features = Features.open(self.home.features)
            while (have := features.newest(ITEMS).num_rows) < items.num_rows:
                stage.at(have, items.num_rows)
                time.sleep(POLL_S)

    def backfill(self) -> None:
        """The past goes from Parquet through the same merge."""
        file = self.settings.home / "history.parquet"
        pq.write_table(self.split.history, file)
        total = self.split.history.num_rows
        with self.stages.stage("backfill", f"Backfill {total:,} events from Parquet") as stage:
            backfill_events(
                self.settings, file, progress=lambda num: stage.advance(num, total=total)
            )

    def find_out(self, choice: Choice) -> None:
        """Wait until the best sellers are worked, but not for ever: the demo goes on without."""
        wanted = self.settings.knowledge.num_best_sellers
        if choice.source == "none" or not wanted:
            return
        with self.stages.stage("knowledge", f"Find out about {wanted} best sellers") as stage:
            stage.doing(choice.why)
            deadline = time.monotonic() + KNOWLEDGE_TIMEOUT_S
            while not (progress := self._knowledge_progress()).is_idle:
                if time.monotonic() > deadline:
                    stage.doing(f"going on without the rest: {progress.trouble or 'too slow'}")
                    break
                stage.at(progress.learned.num_done, wanted)
                time.sleep(0.5)

    def train_generator(self) -> None:
        """Train the behaviour generator, let it serve, and generate for everybody."""
        epochs = self.settings.generator.num_epochs
        with self.stages.stage("train_generator", "Train the behaviour generator") as stage:
            version = retrain(
                self.settings,
                "generator",
                on_epoch=lambda epoch: stage.at(epoch.epoch + 1, epochs),
                on_progress=lambda *step: stage.doing(_shown(*step)),
            ).challenger.version
        with self.stages.stage("generate", "Generate behaviours for all users") as stage:
            started = time.monotonic()
            made = generate_for_all(self.settings, version, stage.at)
            took_s = time.monotonic() - started
        self.generated = GeneratedReport(
            users=made.num_users,
            behaviours=made.num_behaviours,
            behaviours_per_second=round(made.num_behaviours / took_s, 1),
            hit_rate_at_20=None,
        )

    def train(self, name: str, title: str, end_ms: int | None) -> Outcome:
        """One round of retraining: train, compare with the champion if there is one, settle."""
        with self.stages.stage(name, title) as stage:
            epochs = self.settings.ranker.num_epochs
            outcome = retrain(
                self.settings,
                "ranker",
                end_ms=end_ms,
                on_epoch=lambda epoch: stage.at(epoch.epoch + 1, epochs),
                on_progress=lambda *step: stage.doing(_shown(*step)),
            )
        comparison = outcome.comparison
        self.models.append(
            ModelReport(
                version=outcome.challenger.version,
                trained_up_to=day(outcome.challenger.trained_up_to_ms),
                metric="ndcg_at_20",
                value=round(comparison.challenger.ndcg, 5) if comparison else None,
                champion_value=round(comparison.champion.ndcg, 5) if comparison else None,
                promoted=outcome.promoted,
                why=outcome.why,
            )
        )
        return outcome

    def evaluation(self, version: str) -> PrequentialEvaluation:
        """Popularity and co-occurrence as of the split, and the champion with and without parts."""
        item_ids = sorted(self.split.log.items["item_id"].to_pylist())
        ablations = self._scorer(version, item_ids).ablations()
        counting = baselines(item_ids, self.split.history)
        return PrequentialEvaluation(item_ids, {**counting, **ablations})

    def stream(self, name: str, title: str, run: PrequentialStream, events: pa.Table) -> None:
        """Score and stream one chapter, with bad records among the good."""
        with self.stages.stage(name, title) as stage:
            for bad in BAD_RECORDS[:2] if name == "stream_1" else BAD_RECORDS[2:]:
                run.send_raw(bad)
            run.run(events, lambda num: stage.advance(num, total=events.num_rows))

    def introduce_new_item(self, system: System) -> None:
        """Send an item that nobody has seen, and wait until somebody is shown it."""
        item = self.split.late_item
        if item is None:
            return
        title = f"A new item arrives: {item['title'].title()}"
        with self.stages.stage("new_item", title) as stage:
            buyers = self._likely_buyers(item)
            started = time.monotonic()
            row = pa.Table.from_pylist([item], schema=self.split.log.items.schema)
            self._send_items(system, row)
            user_id = _await_shown(system.url, str(item["item_id"]), buyers)
            if user_id is None:
                stage.doing("nobody was shown it in time")
                return
            self.new_item = NewItemReport(
                item_id=str(item["item_id"]),
                title=str(item["title"]),
                user_id=user_id,
                seconds_to_first_recommendation=round(time.monotonic() - started, 2),
            )

    def retrain(self, evaluation: PrequentialEvaluation) -> None:
        """Train on all but the newest week of what has arrived; what wins on it takes over."""
        end_ms = self.split.second["event_time_ms"][0].as_py()
        outcome = self.train("train_2", "Train again on what has arrived, and compare", end_ms)
        if outcome.promoted:
            scorer = self._scorer(outcome.challenger.version, evaluation.items.item_ids)
            scorer.observe(_between(self.split, outcome.challenger.trained_up_to_ms, end_ms))
            for name, ablation in scorer.ablations().items():
                evaluation.replace(name, ablation)

    def mismatches(self) -> tuple[int, int]:
        """(users unlike the batch recomputation, users) over everything that was sent."""
        with self.stages.stage("compare_sequences", "Recompute all sequences in one batch"):
            most = self.settings.stream.max_sequence_events
            oracle = newest_distinct_events(self.split.everything, most)
            rows = Features.open(self.home.features).read(SEQUENCES, sorted(oracle))
            return len(mismatched_users(rows, oracle)), len(oracle)

    def note_knowledge(self, choice: Choice) -> None:
        """What the agent did in all, as the report has it."""
        progress = self._knowledge_progress() if choice.source != "none" else KnowledgeProgress()
        learned = progress.learned
        rate = learned.num_tokens / learned.duration_s if learned.duration_s else 0.0
        self.knowledge = KnowledgeReport(
            items=learned.num_accepted + learned.num_rejected,
            accepted=learned.num_accepted,
            valid_json=learned.num_valid_json,
            tokens_per_second=round(rate, 1),
            source=choice.source,
            why=choice.why,
            model=progress.model,
        )

    def _knowledge_progress(self) -> KnowledgeProgress:
        handle = serve.get_deployment_handle("knowledge", APPLICATION)
        progress: KnowledgeProgress = handle.progress.remote().result(timeout_s=30)
        return progress

    def _send_items(self, base: Infrastructure, items: pa.Table) -> None:
        codec = item_codec(self.settings.kafka.max_event_bytes)
        with closing(base.log.writer()) as writer:
            replay(items, "item_id", self.settings.topics.items, codec, writer)

    def _likely_buyers(self, item: dict[str, object]) -> list[str]:
        """Users who lately bought what is most like the item, newest first."""
        rankers = registry_of(self.settings, "ranker")
        version = rankers.champion
        assert version is not None
        folder = rankers.folder_of(version)
        vocabulary = ItemVocabulary.load(folder)
        nearest = NearestItems.load(folder, vocabulary)
        text = item_text(str(item["item_id"]), str(item["title"]))
        past = pa.concat_tables([self.split.history, self.split.first])
        bought = pc.unique(past["item_id"]).to_pylist()
        similar = nearest.most_like(SentenceEncoder(num_threads=1).encode([text])[0], bought)
        buyers = past.filter(pc.equal(past["item_id"], similar))["user_id"].to_pylist()
        return list(dict.fromkeys(reversed(buyers)))[:NUM_LIKELY_BUYERS]

    def _scorer(self, version: str, item_ids: tuple[str, ...] | list[str]) -> RankerScorer:
        recommender: Recommender = load_version(self.settings, "ranker", version)
        assert recommender.ranker is not None
        return recommender.ranker.scorer_for(item_ids)


def _shown(what: str, done: int, total: int) -> str:
    return f"{what} {done:,}/{total:,}" if total else what


def _await_shown(url: str, item_id: str, user_ids: list[str]) -> str | None:
    """The first of some users whose slate holds the new item; None when nobody's does in time."""
    deadline = time.monotonic() + NEW_ITEM_TIMEOUT_S
    with httpx.Client(base_url=url, timeout=30) as client:
        while time.monotonic() < deadline:
            for user_id in user_ids:
                slate = client.get(f"/v1/users/{user_id}/recommendations").json()
                shown = {i["item_id"]: i["sources"] for i in slate["items"]}
                if NEW in shown.get(item_id, []):
                    return user_id
            time.sleep(POLL_S)
    return None


def _between(split: DemoSplit, after_ms: int, end_ms: int) -> pa.Table:
    events = pa.concat_tables([split.history, split.first])
    times_ms = events["event_time_ms"]
    return events.filter(pc.and_(pc.greater(times_ms, after_ms), pc.less(times_ms, end_ms)))
