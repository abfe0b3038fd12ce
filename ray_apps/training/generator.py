"""What is the behaviour generator's own about its training: its data, and what it makes of it.

The generator is kept from the newest days of the history. For the orders of these days it then
generates as it would have online, not having seen them; that is what the ranker learns from. Had it
learnt from the same orders, it would have generated what was bought, and the ranker would trust it
far more than it deserves.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.registry.model_kind import TrainingRequest
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.training_set import orders_before
from reaseq.errors import NotReadyError
from reaseq.feature_views import ITEMS
from reaseq.generator.fit import GeneratorFit
from reaseq.generator.folder import KIND, GeneratorManifest, StoredGenerator, save_generator
from reaseq.generator.generator import DiffusionGenerator
from reaseq.generator.model import DiffusionModel
from reaseq.generator.targets import with_targets
from reaseq.recommendation.train import vocabulary_of
from reaseq.training.early_stopping import split_newest
from reaseq.training.loop import FitState, trained_weights
from reaseq.types import DAY_MS
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.features import Features


class GeneratorTraining:
    """A training of the behaviour generator; see `ray_apps.training.train.Training`."""

    def __init__(
        self,
        settings: Settings,
        vocabulary: ItemVocabulary,
        learnt: pa.Table,
        unseen: pa.Table,
        request: TrainingRequest,
    ) -> None:
        """`learnt` and `unseen` are the orders before and after the cut-off (TRAINING_SCHEMA)."""
        self._settings, self._vocabulary, self._request = settings, vocabulary, request
        self._unseen = unseen
        self._trained_up_to_ms: int = pc.max(learnt["label_time_ms"]).as_py()
        num_targets = settings.generator.num_generated
        # Targets come after the split: a row's may lie in following orders.
        rows, held_out = split_newest(learnt, settings.generator)
        self.fit = GeneratorFit(
            settings.generator,
            with_targets(rows, num_targets),
            vocabulary.item_ids,
            request.seed,
            None if held_out is None else with_targets(held_out, num_targets),
        )

    def save(self, state: FitState, version: str, folder: Path) -> GeneratorManifest:
        """The generator alone."""
        model = DiffusionModel(len(self._vocabulary), self._settings.generator)
        model.load_state_dict(trained_weights(state))
        manifest = GeneratorManifest(
            kind=KIND,
            version=version,
            trained_up_to_ms=self._trained_up_to_ms,
            settings=self._settings.generator,
            num_items=len(self._vocabulary),
        )
        save_generator(folder, StoredGenerator(manifest, model, self._vocabulary))
        return manifest

    def finish(self, version: str) -> None:
        """What it generates for the orders it has not seen, into the offline store."""
        from ray_apps.jobs.generate import generate_as_of  # Ray Data

        def on_rows(done: int, total: int) -> None:
            self._request.on_progress("generating for past orders", done, total)

        generate_as_of(self._settings, version, self._unseen, on_rows)


def prepare(settings: Settings, request: TrainingRequest) -> GeneratorTraining:
    """What came before the newest `generation.cutoff_days`; see `ray_apps.registry.kinds`."""
    request.on_progress("joining features as of each order", 0, 0)
    home = Home(settings.home)
    features = Features.open(home.features)
    events, orders = orders_before(settings, request.before_ms)
    cutoff_days = settings.generation.cutoff_days
    cutoff_ms = pc.max(events["event_time_ms"]).as_py() - int(cutoff_days * DAY_MS)
    rows = features.training_rows(orders)
    is_learnt = pc.less(rows["label_time_ms"], cutoff_ms)
    learnt, unseen = rows.filter(is_learnt), rows.filter(pc.invert(is_learnt))
    if not learnt.num_rows:
        raise NotReadyError(
            f"no order is older than generation.cutoff_days ({cutoff_days:g}): set fewer days, or "
            "send more history"
        )
    vocabulary = vocabulary_of(features.newest(ITEMS), events)
    return GeneratorTraining(settings, vocabulary, learnt, unseen, request)


def load(settings: Settings, folder: Path, device: str) -> DiffusionGenerator:
    """See `ray_apps.registry.kinds`."""
    return DiffusionGenerator.load(folder, device=device)
