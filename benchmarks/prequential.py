"""What each part of the ranker is worth, over several seeds: `make bench-prequential`.

    make bench-prequential [ARGS="--seeds 3"]

For each seed: eleven months of Online Retail go into the features, generator and ranker are trained
on them, and every order of the rest is ranked over all items before anything learns from it, by the
ranker with and without each part and by both baselines. Features are those of the point-in-time
join, knowledge is what ships with the package. Nothing runs but Ray: no broker, no serving.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import say, write_results
from ray_apps.jobs.backfill import backfill_events
from ray_apps.registry.kinds import load_version
from ray_apps.runtime.cluster import ray_cluster
from ray_apps.runtime.feature_store import apply_features
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.train import train_and_register
from reaseq.candidates.baselines import baselines
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import SPLIT_MS, read_online_retail
from reaseq.evaluation.blocks import blocks_of, score_block
from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.generator.generator import DiffusionGenerator
from reaseq.knowledge.item_knowledge import content_hash, knowledge_table
from reaseq.knowledge.recorded import recorded
from reaseq.ranker.ranker import Ranker
from reaseq.recommendation.recommender import Recommender
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.orders import orders_of
from streams.feature_store.features import Features
from streams.offline.tables import Commit

ORDERS_AT_ONCE = 64
BASE = "ranker_plain"

Found = dict[str, tuple[float, float]]
"""Hit rate and NDCG at 20 by scorer."""


def main() -> None:
    """Evaluate every seed, print what came out and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    log = read_online_retail()
    found: list[Found] = []
    with ray_cluster(Settings().ray):
        for seed in range(options.seeds):
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as home:
                found.append(evaluate(Settings(home=Path(home)), log, seed))
            say(f"seed {seed}: {time.monotonic() - started:.0f} s")
            for name, (hit_rate, ndcg) in found[-1].items():
                say(f"  {name:<18} hit rate @ 20 {hit_rate:.5f}   NDCG @ 20 {ndcg:.5f}")
    figures = {name: figures_of(name, found) for name in found[0]}
    say(f"over {options.seeds} seeds, gains over {BASE}: median (lowest to highest)")
    for name, figure in figures.items():
        gains = figure["hit_rate_at_20_gain"], figure["ndcg_at_20_gain"]
        say(f"  {name:<18} hit rate {spread(gains[0])}   NDCG {spread(gains[1])}")
    say(f"written: {write_results('prequential', {'seeds': options.seeds, 'figures': figures})}")


def evaluate(settings: Settings, log: EventLog, seed: int) -> Found:
    """One seed, from the log to what every scorer reached."""
    features = fill_features(settings, log)
    versions = {
        kind: train_and_register(settings, kind, before_ms=SPLIT_MS, seed=seed).version
        for kind in ("generator", "ranker")
    }
    rest = log.between(SPLIT_MS, None)
    rows = features.training_rows(orders_of(rest))
    rows = rows.filter(pc.greater(pc.list_value_length(rows["item_ids"]), 0))
    sequences = rows.select(SEQUENCE_SCHEMA.names).cast(SEQUENCE_SCHEMA)
    times_ms = rows["label_time_ms"]
    generator: DiffusionGenerator = load_version(settings, "generator", versions["generator"])
    generated = generator.generate(sequences, times_ms.to_numpy())
    recommender: Recommender = load_version(settings, "ranker", versions["ranker"])
    assert recommender.ranker is not None
    evaluation = evaluation_of(recommender.ranker, log)
    for block in blocks_of(rest, ORDERS_AT_ONCE):
        ends = pc.min_max(block["event_time_ms"]).as_py()
        is_inside = pc.and_(
            pc.greater_equal(times_ms, ends["min"]), pc.less_equal(times_ms, ends["max"])
        )
        score_block(evaluation, sequences.filter(is_inside), generated.filter(is_inside), block)
    report = evaluation.report()
    return {name: (quality.hit_rate, quality.ndcg) for name, quality in report.items()}


def fill_features(settings: Settings, log: EventLog) -> Features:
    """The whole log through the backfill, the catalogue, and the knowledge that ships."""
    apply_features(settings)
    features = Features.open(Home(settings.home).features)
    features.append(ITEMS, log.items, Commit("items"))
    known = [
        msgspec.structs.replace(found, item_id=item["item_id"])
        for item in log.items.to_pylist()
        if (found := recorded(content_hash(item["title"], item["description"])))
    ]
    features.append(KNOWLEDGE, knowledge_table(known), Commit("recorded"))
    file = settings.home / "events.parquet"
    pq.write_table(log.events, file)
    backfill_events(settings, file)
    return features


def evaluation_of(ranker: Ranker, log: EventLog) -> PrequentialEvaluation:
    """Both baselines as of the split, and the ranker with and without its parts."""
    item_ids = sorted(log.items["item_id"].to_pylist())
    counting = baselines(item_ids, log.between(None, SPLIT_MS))
    return PrequentialEvaluation(item_ids, {**counting, **ranker.scorer_for(item_ids).ablations()})


def figures_of(name: str, found: Sequence[Found]) -> dict[str, list[float]]:
    """Each seed's figures of one scorer, and how much they are above the plain ranker's."""
    figures = {}
    for place, metric in enumerate(("hit_rate_at_20", "ndcg_at_20")):
        figures[metric] = [round(one[name][place], 5) for one in found]
        gains = [one[name][place] - one[BASE][place] for one in found]
        figures[f"{metric}_gain"] = [round(gain, 5) for gain in gains]
    return figures


def spread(figures: Sequence[float]) -> str:
    """Median and range."""
    middle = statistics.median(figures)
    return f"{middle:+.5f} ({min(figures):+.5f} to {max(figures):+.5f})"


if __name__ == "__main__":
    main()
