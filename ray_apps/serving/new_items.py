"""Keeps a recommender's new items up to date: what came after its model, as vectors.

An item can be shown as soon as the catalogue has it, by its title; when an agent has said
more about it, its vector is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from reaseq.feature_views import ITEMS, KNOWLEDGE
from reaseq.knowledge.item_knowledge import texts_of
from reaseq.representations.item_text import item_text
from reaseq.types import Float32s
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.ports import FeatureTables
from streams.shards.follower import Follower

Vectors = dict[str, Float32s]

MAX_ITEMS_AT_ONCE = 256
"""Bounds how long one look takes."""


class Encoder(Protocol):
    """Texts as unit vectors; `SentenceEncoder` in production."""

    def encode(self, texts: Sequence[str]) -> Float32s:
        """One vector per text [num_texts, D]."""


class NewItemWatch:
    """Follows the items for one recommender."""

    def __init__(self, features: FeatureTables, items: Follower, encoder: Encoder) -> None:
        self._features = features
        self._follower = items
        self._encoder = encoder
        self._vocabulary = ItemVocabulary([])
        self._arrived: dict[str, dict[str, Any]] = {}
        """Items to make vectors for."""
        self._unknown: dict[str, dict[str, Any]] = {}
        """New items of which nothing is known yet but what the catalogue says."""

    def begin(self, vocabulary: ItemVocabulary) -> None:
        """Watch for items that `vocabulary` lacks: those in the catalogue, then those that come."""
        # Positions first: an item that arrives in between is met twice rather than never.
        starts = self._follower.starts()
        catalogue = self._features.newest(ITEMS)
        self._follower.reset(starts)
        self._vocabulary = vocabulary
        self._arrived, self._unknown = {}, {}
        self._take(catalogue)

    def look(self) -> Vectors:
        """Vectors of items that are new, or of which more is known, since the last look."""
        for followed in self._follower.poll(0.0, MAX_ITEMS_AT_ONCE):
            self._take(followed.table)
        items = {i: self._arrived.pop(i) for i in list(self._arrived)[:MAX_ITEMS_AT_ONCE]}
        asked = [*items, *list(self._unknown)[:MAX_ITEMS_AT_ONCE]]
        if not asked:
            return {}
        known = texts_of(self._features.read(KNOWLEDGE, asked))
        explained = {
            item_id: self._unknown.pop(item_id) for item_id in known if item_id in self._unknown
        }
        self._unknown |= {item_id: item for item_id, item in items.items() if item_id not in known}
        return self._encode({**explained, **items}, known)

    def close(self) -> None:
        """Let the connection go."""
        self._follower.close()

    def _take(self, items: pa.Table) -> None:
        for item in items.to_pylist():
            if item["item_id"] not in self._vocabulary:
                self._arrived[item["item_id"]] = item

    def _encode(self, items: dict[str, dict[str, Any]], known: dict[str, str]) -> Vectors:
        texts = [
            item_text(item_id, item["title"], item["description"], known.get(item_id))
            for item_id, item in items.items()
        ]
        return dict(zip(items, self._encoder.encode(texts), strict=True))
