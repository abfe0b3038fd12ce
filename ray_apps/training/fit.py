"""What each worker of Ray Train runs: the plain fits of ranker and generator on its part.

Workers import this module, so it must not wait for Feast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ray_apps.training.distributed import OnEpochState, Place
from reaseq.generator import fit as diffusion_fit
from reaseq.generator.settings import GeneratorSettings
from reaseq.ranker import fit as ranker_fit
from reaseq.ranker.fit import FitState
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import TrendHistory
from reaseq.types import Float32s
from reaseq.vocabulary import ItemVocabulary


class RankerFitInputs(NamedTuple):
    """All rows of all workers; `text_vectors` is [num_items, T] in the order of `item_ids`."""

    settings: RankerSettings
    rows: pa.Table
    item_ids: tuple[str, ...]
    text_vectors: Float32s
    trends: TrendHistory
    seed: int


class GeneratorFitInputs(NamedTuple):
    """All rows of all workers, with their targets (`reaseq.generator.targets.with_targets`)."""

    settings: GeneratorSettings
    rows: pa.Table
    item_ids: tuple[str, ...]
    seed: int


def fit_ranker(
    inputs: RankerFitInputs, place: Place, resume: FitState | None, on_epoch: OnEpochState
) -> None:
    """The ranker's fit on one worker's rows."""
    batch_size = place.batch_size_of(inputs.settings.batch_size)
    ranker_fit.fit(
        place.rows_of(inputs.rows),
        ItemVocabulary(inputs.item_ids),
        np.array(inputs.text_vectors),
        inputs.settings.model_copy(update={"batch_size": batch_size}),
        trends=inputs.trends,
        seed=inputs.seed,
        worker=place.worker(inputs.rows.num_rows, batch_size),
        resume=resume,
        on_epoch=on_epoch,
    )


def fit_generator(
    inputs: GeneratorFitInputs, place: Place, resume: FitState | None, on_epoch: OnEpochState
) -> None:
    """The behaviour generator's fit on one worker's rows."""
    batch_size = place.batch_size_of(inputs.settings.batch_size)
    diffusion_fit.fit(
        place.rows_of(inputs.rows),
        ItemVocabulary(inputs.item_ids),
        inputs.settings.model_copy(update={"batch_size": batch_size}),
        seed=inputs.seed,
        worker=place.worker(inputs.rows.num_rows, batch_size),
        resume=resume,
        on_epoch=on_epoch,
    )
