"""One training from the features to a complete model folder: ranker, candidates, popularity."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.registry.kinds import rankers
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.distributed import OnEpoch, fit_distributed
from ray_apps.training.fit import RankerFitInputs, fit_ranker
from ray_apps.training.training_set import TrainingSet, build_training_set
from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.popularity import Popularity
from reaseq.events import EventType
from reaseq.feature_views import POPULARITY
from reaseq.ranker.fit import FitState, order_trends, text_by_code
from reaseq.ranker.folder import ModelManifest, StoredModel, library_versions
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.recommendation.recommender import Recommender
from streams.feature_store.features import Features
from streams.offline.tables import Commit

FEATURE_SERVICE = "ranker_v1"


def train_model(
    settings: Settings,
    *,
    before_ms: int | None = None,
    seed: int = 0,
    on_text: Callable[[int, int], None] | None = None,
    on_epoch: OnEpoch = lambda report: None,
) -> ModelManifest:
    """Train on everything before `before_ms` and save a new version; promotion is another step.

    Ray must be initialised. Raises ValueError when there is nothing to train on.
    """
    home = Home(settings.home)
    data = build_training_set(home, settings.ranker, before_ms, on_text)
    trends, _ = order_trends(data.rows, data.vocabulary, settings.ranker)
    inputs = RankerFitInputs(
        settings.ranker, data.rows, data.vocabulary.item_ids, data.text_vectors, trends, seed
    )
    models = rankers(settings)
    version = models.reserve()
    scratch = home.models / f".training-{version}"
    try:
        state = fit_distributed(settings.train, fit_ranker, inputs, scratch, on_epoch)
        recommender = _assemble(settings, data, state, version)
        recommender.save(models.folder_of(version))
        assert recommender.ranker is not None
        manifest = recommender.ranker.manifest
        models.complete(version, {"trained_up_to_ms": str(manifest.trained_up_to_ms)})
    except BaseException:
        models.discard(version)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _write_popularity(home, data.events, version)
    return manifest


def _assemble(settings: Settings, data: TrainingSet, state: FitState, version: str) -> Recommender:
    model = RankerModel(text_by_code(data.text_vectors), settings.ranker)
    model.load_state_dict(state["model"])
    _, trends = order_trends(data.rows, data.vocabulary, settings.ranker)
    manifest = ModelManifest(
        version=version,
        created_at=datetime.now(UTC),
        trained_up_to_ms=pc.max(data.events["event_time_ms"]).as_py(),
        settings=settings.ranker,
        feature_service=FEATURE_SERVICE,
        num_items=len(data.vocabulary),
        libraries=library_versions(),
    )
    plain_text = text_by_code(data.plain_text_vectors)
    ranker = Ranker(StoredModel(manifest, model, data.vocabulary, trends, plain_text))
    popularity, co_occurrence = Popularity(data.vocabulary), CoOccurrence(data.vocabulary)
    popularity.observe(data.events)
    co_occurrence.observe(data.events)
    nearest = NearestItems(data.vocabulary, data.text_vectors)
    return Recommender(data.vocabulary, [co_occurrence, nearest], popularity, ranker)


def _write_popularity(home: Home, events: pa.Table, version: str) -> None:
    """Purchases and buyers of each item into the feature store, as of the training."""
    bought = events.filter(pc.equal(events["event_type"], EventType.PURCHASE.value))
    counts = bought.group_by("item_id").aggregate(
        [("event_id", "count"), ("user_id", "count_distinct")]
    )
    newest_ms = pc.max(events["event_time_ms"]).as_py()
    rows = pa.table(
        {
            "item_id": counts["item_id"],
            "num_purchases": counts["event_id_count"],
            "num_buyers": counts["user_id_count_distinct"],
            "event_time_ms": pa.repeat(newest_ms, counts.num_rows).cast(pa.int64()),
        }
    )
    features = Features.open(home.features)
    features.write(POPULARITY, rows)
    features.append(POPULARITY, rows, Commit(f"training-{version}"))
