"""What a model is trained from: orders with the user sequence just before, and the items."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.home import Home
from reaseq.evaluation.orders import orders_of
from reaseq.representations.text_encoder import SentenceEncoder
from reaseq.vocabulary import ItemVocabulary
from streams.event_archive import EventArchive
from streams.features import Features

NUM_THREADS = max(1, (os.cpu_count() or 2) // 2)
"""Threads for encoding texts: with more than there are free cores it gets much slower."""

Progress = Callable[[int, int], None]
"""Called with (done, to do)."""


class TrainingSet(NamedTuple):
    """Everything a training needs, as of `before_ms`."""

    rows: pa.Table
    """Every order with the sequence before it: SEQUENCE_SCHEMA, label_time_ms, label_item_ids.

    A user's first order has an empty sequence; it still tells what people begin with."""
    events: pa.Table
    """All events before the end of the period (EVENT_SCHEMA)."""
    vocabulary: ItemVocabulary
    text_vectors: npt.NDArray[np.float32]
    """[num_items, 384], in the order of the vocabulary."""


def build_training_set(
    home: Home, before_ms: int | None = None, progress: Progress | None = None
) -> TrainingSet:
    """Join orders with the features of their time, and encode the catalogue's texts.

    Raises ValueError when there is no order to learn from.
    """
    features = Features.open(home.features)
    events = EventArchive(home.events).read(before_ms)
    orders = orders_of(events)
    if not orders.num_rows:
        raise ValueError(
            "there are no purchases to train on yet: send events first, "
            "e.g. `reaseq replay --events FILE` while the system is up"
        )
    vocabulary, texts = _items(features.catalogue(), events)
    vectors = SentenceEncoder(home.text_vectors, num_threads=NUM_THREADS).encode(texts, progress)
    return TrainingSet(features.training_rows(orders), events, vocabulary, vectors)


def _items(catalogue: pa.Table, events: pa.Table) -> tuple[ItemVocabulary, list[str]]:
    """All items of the catalogue and the log with their texts; one without a title is its id."""
    titles = dict.fromkeys(pc.unique(events["item_id"]).to_pylist(), "")
    for item in catalogue.to_pylist():
        described = [item["title"], item["description"]]
        titles[item["item_id"]] = ". ".join(filter(None, described))
    item_ids = sorted(titles)
    return ItemVocabulary(item_ids), [titles[item_id] or item_id for item_id in item_ids]
