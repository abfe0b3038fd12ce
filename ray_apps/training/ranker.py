"""What is the ranker's own about its training: its data, and the folder with all it needs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.registry.model_kind import TrainingRequest
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.training_set import TrainingSet, build_training_set
from reaseq.feature_views import POPULARITY
from reaseq.ranker.fit import RankerFit, order_trends, text_by_code
from reaseq.ranker.folder import KIND, RankerManifest, StoredModel
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.train import candidate_sources
from reaseq.sequences.orders import purchases_of
from reaseq.training.early_stopping import split_newest
from reaseq.training.loop import FitState, trained_weights
from streams.feature_store.features import Features
from streams.offline.tables import Commit, new_run

FEATURE_SERVICE = "ranker_v1"


class RankerTraining:
    """A training of the ranker; see `ray_apps.training.train.Training`."""

    def __init__(self, settings: Settings, data: TrainingSet, seed: int) -> None:
        self._settings, self._data = settings, data
        history, self._trends = order_trends(data.rows, data.vocabulary, settings.ranker)
        rows, held_out = split_newest(data.rows, settings.ranker)
        self.fit = RankerFit(
            settings.ranker,
            rows,
            data.vocabulary.item_ids,
            data.text_vectors,
            history,
            seed,
            held_out,
        )

    def save(self, state: FitState, version: str, folder: Path) -> RankerManifest:
        """The ranker with the candidate sources beside it."""
        data, settings = self._data, self._settings.ranker
        model = RankerModel(text_by_code(data.text_vectors), settings)
        model.load_state_dict(trained_weights(state))
        manifest = RankerManifest(
            kind=KIND,
            version=version,
            trained_up_to_ms=pc.max(data.events["event_time_ms"]).as_py(),
            settings=settings,
            feature_service=FEATURE_SERVICE,
            num_items=len(data.vocabulary),
        )
        plain_text = text_by_code(data.plain_text_vectors)
        stored = StoredModel(manifest, model, data.vocabulary, self._trends, plain_text)
        sources = candidate_sources(data.vocabulary, data.events, data.text_vectors)
        Recommender(data.vocabulary, sources, Ranker(stored)).save(folder)
        return manifest

    def finish(self, version: str) -> None:
        """Purchases and buyers of each item into the feature store, as of the training."""
        events = self._data.events
        counts = (
            purchases_of(events)
            .group_by("item_id")
            .aggregate([("event_id", "count"), ("user_id", "count_distinct")])
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
        features = Features.open(Home(self._settings.home).features)
        features.write(POPULARITY, rows)
        # A registry begun anew numbers its versions from the first again.
        features.append(POPULARITY, rows, Commit(new_run(f"training-{version}")))


def prepare(settings: Settings, request: TrainingRequest) -> RankerTraining:
    """Everything before `request.before_ms`; see `ray_apps.registry.kinds`."""

    def on_text(done: int, total: int) -> None:
        request.on_progress("encoding item texts", done, total)

    request.on_progress("joining features as of each order", 0, 0)
    data = build_training_set(settings, request.before_ms, on_text)
    return RankerTraining(settings, data, request.seed)


def load(settings: Settings, folder: Path, device: str) -> Recommender:
    """See `ray_apps.registry.kinds`."""
    return Recommender.load(folder, settings.recommender, device)
