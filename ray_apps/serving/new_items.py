"""Keeps a recommender's new items up to date: what came after its model, as vectors.

An item can be shown as soon as the catalogue has it, by its title; when an agent has found out
more about it, its vector is made again.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.knowledge.item_knowledge import texts_of
from reaseq.representations.item_text import item_text
from reaseq.representations.text_encoder import SentenceEncoder
from reaseq.types import Float32s
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.features import Features
from streams.log.codec import item_codec
from streams.log.kafka import KafkaLog
from streams.shards.checkpoints import Checkpoints

Vectors = dict[str, Float32s]

MAX_ITEMS_AT_ONCE = 256
"""Bounds how long one look takes."""


class NewItemWatch:
    """Follows the item topic for one recommender."""

    def __init__(self, settings: Settings) -> None:
        home = Home(settings.home)
        log = KafkaLog(settings.kafka)
        self._features = Features.open(home.features)
        self._checkpoints = Checkpoints(home.checkpoints)
        self._codec = item_codec(settings.kafka.max_event_bytes)
        self._partitions = log.partitions(settings.topics.items)
        self._reader = log.reader("reaseq-new-items")
        self._encoder = SentenceEncoder(num_threads=1)
        self._vocabulary = ItemVocabulary([])
        self._arrived: dict[str, dict[str, Any]] = {}
        """Items to make vectors for."""
        self._unknown: dict[str, dict[str, Any]] = {}
        """New items of which nothing has been found out yet."""

    def begin(self, vocabulary: ItemVocabulary) -> None:
        """Watch for items that `vocabulary` lacks: those in the catalogue, then those that come."""
        self._vocabulary = vocabulary
        self._arrived, self._unknown = {}, {}
        # Positions first: an item that arrives in between is met twice rather than never.
        kept = {p: self._checkpoints.progress(p) for p in self._partitions}
        self._reader.assign(
            {p: progress.next_offset if progress else 0 for p, progress in kept.items()}
        )
        self._note(self._features.newest(ITEMS))

    def look(self) -> Vectors:
        """Vectors of items that are new, or of which more is known, since the last look."""
        for batch in self._reader.poll(0.0, MAX_ITEMS_AT_ONCE):
            self._note(self._codec.decode(batch.values).table)
        items = {i: self._arrived.pop(i) for i in list(self._arrived)[:MAX_ITEMS_AT_ONCE]}
        asked = [*items, *list(self._unknown)[:MAX_ITEMS_AT_ONCE]]
        if not asked:
            return {}
        known = texts_of(self._features.read(KNOWLEDGE, asked))
        told = {
            item_id: self._unknown.pop(item_id) for item_id in known if item_id in self._unknown
        }
        self._unknown |= {item_id: item for item_id, item in items.items() if item_id not in known}
        return self._encode({**told, **items}, known)

    def _note(self, items: pa.Table) -> None:
        for item in items.to_pylist():
            if item["item_id"] not in self._vocabulary:
                self._arrived[item["item_id"]] = item

    def _encode(self, items: dict[str, dict[str, Any]], known: dict[str, str]) -> Vectors:
        texts = [
            item_text(item_id, item["title"], item["description"], known.get(item_id))
            for item_id, item in items.items()
        ]
        return dict(zip(items, self._encoder.encode(texts), strict=True))
