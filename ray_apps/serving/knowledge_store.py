"""The features as a knowledge store."""

from __future__ import annotations

import uuid

import pyarrow as pa

from reaseq.feature_views import KNOWLEDGE
from streams.feature_store.ports import FeatureTables


class FeatureKnowledge:
    """A `KnowledgeStore`: readable online at once, written offline by `flush`."""

    def __init__(self, features: FeatureTables) -> None:
        self._features = features
        self._unsaved: list[pa.Table] = []

    def read(self, item_ids: list[str]) -> pa.Table:
        """What is known of these items (KNOWLEDGE_SCHEMA)."""
        return self._features.read(KNOWLEDGE, item_ids)

    def write(self, rows: pa.Table) -> None:
        """Make knowledge readable."""
        self._features.write(KNOWLEDGE, rows)
        self._unsaved.append(rows)

    def flush(self) -> None:
        """Write offline what was written since the last time."""
        if self._unsaved:
            name = f"agents-{uuid.uuid4().hex}"
            self._features.append(KNOWLEDGE, pa.concat_tables(self._unsaved), name)
            self._unsaved = []
