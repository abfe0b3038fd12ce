"""Rankers compared on held-out time: champion and challenger see a week neither was trained on."""

from __future__ import annotations

import pyarrow.compute as pc

from ray_apps.registry.kinds import load_version
from ray_apps.registry.model_kind import Comparison
from ray_apps.runtime.feature_store import event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.evaluation.blocks import blocks_of
from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.feature_views import GENERATED, ITEMS
from reaseq.ranker.folder import KIND
from reaseq.recommendation.recommender import Recommender
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.sequences.orders import orders_of
from reaseq.sequences.rows import beside
from streams.feature_store.features import Features

ORDERS_AT_ONCE = 64
"""Orders ranked between two updates of what is in demand: well below a day's."""


def compare(
    settings: Settings, champion: str, challenger: str, start_ms: int, end_ms: int
) -> Comparison:
    """Rank every order of a known user in `[start_ms, end_ms)` with both models.

    Sequences and generated behaviours come from the point-in-time join, as of just before each
    order.
    """
    home = Home(settings.home)
    events = event_archive(settings).read(end_ms)
    contenders = {}
    features = Features.open(home.features)
    item_ids = sorted(features.newest(ITEMS)["item_id"].to_pylist())
    for name, version in (("champion", champion), ("challenger", challenger)):
        recommender: Recommender = load_version(settings, KIND, version)
        ranker = recommender.ranker
        assert ranker is not None
        times_ms = events["event_time_ms"]
        unseen = pc.greater(times_ms, ranker.manifest.trained_up_to_ms)
        ranker.observe(events.filter(pc.and_(unseen, pc.less(times_ms, start_ms))))
        contenders[name] = ranker.scorer_for(item_ids)
    evaluation = PrequentialEvaluation(item_ids, contenders)
    window = events.filter(pc.greater_equal(events["event_time_ms"], start_ms))
    orders = orders_of(window)
    rows = beside(
        features.training_rows(orders).select(SEQUENCE_SCHEMA.names),
        features.rows_before(GENERATED, orders),
    )
    start = 0
    for block in blocks_of(window, ORDERS_AT_ONCE):
        # Orders and blocks are both in time order. Both contenders learn by the day, so a block at
        # once is as good as order by order.
        num_orders = orders_of(block).num_rows
        evaluation.score(rows.slice(start, num_orders), orders.slice(start, num_orders))
        evaluation.observe(block)
        start += num_orders
    report = evaluation.report()
    return Comparison(report["champion"], report["challenger"], start_ms, end_ms)
