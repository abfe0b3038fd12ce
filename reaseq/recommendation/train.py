"""From events to a recommender in one process: `reaseq retrain` in small."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.generated import GeneratedItems
from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.popularity import Popularity
from reaseq.candidates.source import CandidateSource
from reaseq.errors import InputError
from reaseq.event_clock import up_to_now
from reaseq.ranker.fit import fit, order_trends
from reaseq.ranker.ranker import Ranker
from reaseq.ranker.settings import RankerSettings
from reaseq.recommendation.recommender import Recommender
from reaseq.representations.item_text import item_text
from reaseq.representations.text_encoder import SentenceEncoder
from reaseq.sequences.as_of import training_rows
from reaseq.types import Float32s
from reaseq.vocabulary import ItemVocabulary

EncodeTexts = Callable[[list[str]], Float32s]
"""Texts to vectors [N, T]."""


def train_recommender(
    events: pa.Table,
    items: pa.Table,
    settings: RankerSettings | None = None,
    *,
    seed: int = 0,
    encode: EncodeTexts | None = None,
) -> Recommender:
    """Train a ranker on the orders in `events` (EVENT_SCHEMA) and put candidate sources before it.

    `items` (ITEM_SCHEMA) are the catalogue; `encode` turns their texts into vectors, by default the
    packaged sentence encoder. Events ahead of the log's own now (`reaseq.event_clock`) are left
    out. Nothing is written; `Recommender.save` does. Raises InputError when there is no purchase to
    learn from.
    """
    events = up_to_now(events)
    settings = settings or RankerSettings(use_generated=False)
    rows = training_rows(events, settings.num_events)
    if not rows.num_rows:
        raise InputError("there is no purchase among the events: nothing to learn a ranking from")
    vocabulary = vocabulary_of(items, events)
    vectors = (encode or SentenceEncoder(num_threads=1).encode)(_texts(vocabulary, items))
    trends, newest_trends = order_trends(rows, vocabulary, settings)
    model = fit(rows, vocabulary, vectors, settings, trends=trends, seed=seed)
    newest_ms = pc.max(events["event_time_ms"]).as_py()
    ranker = Ranker.of(model, vocabulary, newest_trends, trained_up_to_ms=newest_ms)
    return Recommender(vocabulary, candidate_sources(vocabulary, events, vectors), ranker)


def vocabulary_of(items: pa.Table, events: pa.Table) -> ItemVocabulary:
    """Every item of the catalogue and of the events, by id."""
    described, seen = items["item_id"].to_pylist(), pc.unique(events["item_id"]).to_pylist()
    return ItemVocabulary(sorted({*described, *seen}))


def candidate_sources(
    vocabulary: ItemVocabulary, events: pa.Table, text_vectors: Float32s
) -> list[CandidateSource]:
    """All sources, having observed `events`; `text_vectors` is [num_items, T] by vocabulary."""
    sources: list[CandidateSource] = [
        CoOccurrence(vocabulary),
        NearestItems(vocabulary, text_vectors),
        GeneratedItems(vocabulary),
        Popularity(vocabulary),
    ]
    for source in sources:
        source.observe(events)
    return sources


def _texts(vocabulary: ItemVocabulary, items: pa.Table) -> list[str]:
    """The text of each item of the vocabulary; an item without a description is its id."""
    described = {item["item_id"]: item for item in items.to_pylist()}
    nothing = {"title": "", "description": None}
    found = ((item_id, described.get(item_id, nothing)) for item_id in vocabulary.item_ids)
    return [item_text(item_id, item["title"], item["description"]) for item_id, item in found]
