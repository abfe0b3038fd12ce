"""One training of the behaviour generator, from the features to a model folder and what it makes.

The generator is kept from the newest days of the history. For the orders of these days it then
generates as it would have online, not having seen them; that is what the ranker learns from. Had it
learnt from the same orders, it would have generated what was bought, and the ranker would trust it
far more than it deserves.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.jobs.generate import OnRows, generate_as_of
from ray_apps.registry.kinds import generators
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.distributed import OnEpoch, fit_distributed
from ray_apps.training.fit import GeneratorFitInputs, fit_generator
from ray_apps.training.training_set import all_items, orders_before
from reaseq.feature_views import ITEMS
from reaseq.generator.folder import GeneratorManifest, StoredGenerator
from reaseq.generator.generator import DiffusionGenerator
from reaseq.generator.model import DiffusionModel
from reaseq.generator.targets import with_targets
from reaseq.ranker.folder import library_versions
from reaseq.types import DAY_MS
from streams.feature_store.features import Features


def train_generator(
    settings: Settings,
    *,
    before_ms: int | None = None,
    seed: int = 0,
    on_epoch: OnEpoch = lambda report: None,
    on_rows: OnRows = lambda done, total: None,
) -> GeneratorManifest:
    """Train on what came before the newest `generator.cutoff_days`, and generate for these days.

    The new version is complete and not promoted; what it generated lies in the offline store. Ray
    must be initialised. Raises ValueError when there is nothing to train on.
    """
    home = Home(settings.home)
    features = Features.open(home.features)
    events, orders = orders_before(home, before_ms)
    cutoff_ms = _cutoff_ms(events, settings.generator.cutoff_days)
    rows = features.training_rows(orders)
    learnt = rows.filter(pc.less(rows["label_time_ms"], cutoff_ms))
    if not learnt.num_rows:
        raise ValueError(
            f"no order is older than generator.cutoff_days ({settings.generator.cutoff_days:g}): "
            "set fewer days, or send more history"
        )
    models = generators(settings)
    version = models.reserve()
    scratch = home.generators / f".training-{version}"
    vocabulary = all_items(features.newest(ITEMS), events)
    inputs = GeneratorFitInputs(
        settings.generator,
        with_targets(learnt, settings.generator.num_generated),
        vocabulary.item_ids,
        seed,
    )
    try:
        state = fit_distributed(settings.train, fit_generator, inputs, scratch, on_epoch)
        model = DiffusionModel(len(vocabulary), settings.generator)
        model.load_state_dict(state["model"])
        manifest = GeneratorManifest(
            version=version,
            created_at=datetime.now(UTC),
            trained_up_to_ms=pc.max(learnt["label_time_ms"]).as_py(),
            settings=settings.generator,
            num_items=len(vocabulary),
            libraries=library_versions(),
        )
        stored = StoredGenerator(manifest, model, vocabulary)
        DiffusionGenerator(stored).save(models.folder_of(version))
        models.complete(version, {"trained_up_to_ms": str(manifest.trained_up_to_ms)})
    except BaseException:
        models.discard(version)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    unseen = rows.filter(pc.greater_equal(rows["label_time_ms"], cutoff_ms))
    generate_as_of(settings, version, unseen, on_rows)
    return manifest


def _cutoff_ms(events: pa.Table, cutoff_days: float) -> int:
    newest_ms: int = pc.max(events["event_time_ms"]).as_py()
    return newest_ms - int(cutoff_days * DAY_MS)
