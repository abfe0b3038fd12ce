"""What models are trained from: orders with the features just before them, and the items."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from ray_apps.runtime.feature_store import event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.errors import NotReadyError
from reaseq.event_clock import up_to_now
from reaseq.feature_views import GENERATED, ITEMS, KNOWLEDGE
from reaseq.knowledge.item_knowledge import texts_of
from reaseq.recommendation.train import vocabulary_of
from reaseq.representations.item_text import item_text
from reaseq.representations.text_encoder import SentenceEncoder
from reaseq.sequences.orders import orders_of
from reaseq.sequences.rows import beside
from reaseq.types import Float32s
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.features import Features

NUM_THREADS = max(1, (os.cpu_count() or 2) // 2)
"""Threads for encoding texts: with more than there are free cores it gets much slower."""

Progress = Callable[[int, int], None]
"""Called with (done, to do)."""


class TrainingSet(NamedTuple):
    """Everything a training of the ranker needs, as of `before_ms`."""

    rows: pa.Table
    """Every order with the features before it: TRAINING_SCHEMA, joined to generated behaviours.

    A user's first order has an empty sequence; it still tells what people begin with."""
    events: pa.Table
    """All events before the end of the period (EVENT_SCHEMA), none ahead of its now."""
    vocabulary: ItemVocabulary
    text_vectors: Float32s
    """[num_items, 384], in the order of the vocabulary, with what agents say about them."""
    plain_text_vectors: Float32s
    """[num_items, 384] without it."""


def build_training_set(
    settings: Settings, before_ms: int | None = None, progress: Progress | None = None
) -> TrainingSet:
    """Join orders with the features of their time, and encode the catalogue's texts.

    Raises NotReadyError when there is no order to learn from.
    """
    home = Home(settings.home)
    features = Features.open(home.features)
    events, orders = orders_before(settings, before_ms)
    rows = beside(features.training_rows(orders), features.rows_before(GENERATED, orders))
    known = texts_of(features.newest(KNOWLEDGE)) if settings.ranker.use_knowledge else {}
    vocabulary, plain, texts = _items(features.newest(ITEMS), events, known)
    encoder = SentenceEncoder(home.text_vectors, num_threads=NUM_THREADS)
    vectors = encoder.encode([*plain, *texts], progress)
    return TrainingSet(rows, events, vocabulary, vectors[len(plain) :], vectors[: len(plain)])


def orders_before(settings: Settings, before_ms: int | None) -> tuple[pa.Table, pa.Table]:
    """All events before a moment, and the orders among them; NotReadyError when there is none.

    Events ahead of the log's own now (`reaseq.event_clock`) are left out, so the newest of the
    others says what time it is.
    """
    events = up_to_now(event_archive(settings).read(before_ms))
    orders = orders_of(events)
    if not orders.num_rows:
        raise NotReadyError(
            "there are no purchases to train on yet: send events first, "
            "e.g. `reaseq replay --events FILE` while the system is up"
        )
    return events, orders


def _items(
    catalogue: pa.Table, events: pa.Table, known: dict[str, str]
) -> tuple[ItemVocabulary, list[str], list[str]]:
    """The items with their texts, plain and with what is known of them."""
    vocabulary = vocabulary_of(catalogue, events)
    described = {item["item_id"]: item for item in catalogue.to_pylist()}
    plain, texts = [], []
    for item_id in vocabulary.item_ids:
        item = described.get(item_id, {"title": "", "description": None})
        plain.append(item_text(item_id, item["title"], item["description"]))
        knowledge = known.get(item_id)
        texts.append(item_text(item_id, item["title"], item["description"], knowledge))
    return vocabulary, plain, texts
