"""The features as a knowledge store."""

from __future__ import annotations

import pyarrow as pa

from reaseq.feature_views import KNOWLEDGE
from streams.feature_store.ports import FeatureTables
from streams.offline.tables import Commit, new_run


class FeatureKnowledge:
    """A `KnowledgeStore`: readable online at once, written offline by `flush`."""

    def __init__(self, features: FeatureTables) -> None:
        self._features = features
        self._unsaved: list[pa.Table] = []
        self._run = new_run("agents")
        self._num_flushes = 0

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
            self._num_flushes += 1
            commit = Commit(self._run, self._num_flushes)
            self._features.append(KNOWLEDGE, pa.concat_tables(self._unsaved), commit)
            self._unsaved = []
