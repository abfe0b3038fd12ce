"""Item descriptions into the catalogue: the newest description of an item wins."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

from reaseq.feature_views import ITEMS
from reaseq.schemas import ITEM_SCHEMA
from reaseq.types import Int64s
from streams.feature_store.ports import FeatureTables
from streams.log.ports import Partition
from streams.offline.tables import Commit
from streams.shards.handlers.port import Arrivals


class CatalogueHandler:
    """Keeps no state in checkpoints: the store's guard keeps the newest description."""

    name = "catalogue"

    def __init__(self, store: FeatureTables) -> None:
        self._store = store
        self._pending: list[pa.Table] = []
        self._unsaved: dict[Partition, list[pa.Table]] = defaultdict(list)

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        self._pending = []

    def apply(self, arrivals: Arrivals) -> int:
        self._pending.append(arrivals.table)
        self._unsaved[arrivals.partition].append(arrivals.table)
        return int(arrivals.table.num_rows)

    def write(self) -> None:
        items = newest_descriptions(_concat(self._pending))
        self._pending = []
        if items.num_rows:
            self._store.write(ITEMS, items)

    def forget(self, partition: Partition, user_hashes: Int64s) -> None:
        """No item is a user."""

    def checkpoint(self, partition: Partition, commit: Commit) -> None:
        self._store.append(ITEMS, _concat(self._unsaved.pop(partition, [])), commit)
        self._store.sync()


def _concat(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([ITEM_SCHEMA.empty_table(), *tables])


def newest_descriptions(items: pa.Table) -> pa.Table:
    """One row per item: the last of those with its greatest event time."""
    newest: dict[str, dict[str, object]] = {}
    for row in items.to_pylist():
        known = newest.get(row["item_id"])
        if known is None or row["event_time_ms"] >= known["event_time_ms"]:
            newest[row["item_id"]] = row
    return pa.Table.from_pylist(list(newest.values()), schema=ITEM_SCHEMA)
