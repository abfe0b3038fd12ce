"""Item descriptions into the catalogue: the newest description of an item wins."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from reaseq.schemas import ITEM_SCHEMA
from streams.log import Partition


class CatalogueStore(Protocol):
    """Where item descriptions are kept; `streams.features.Features` in production."""

    def write_items(self, items: pa.Table) -> int:
        """Make items (ITEM_SCHEMA) readable, never letting an older description win."""


class CatalogueHandler:
    """Needs no state of its own: the store's guard keeps the newest description."""

    def __init__(self, store: CatalogueStore) -> None:
        self._store = store
        self._pending: list[pa.Table] = []

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        self._pending = []

    def apply(self, partition: Partition, table: pa.Table) -> int:
        self._pending.append(table)
        return int(table.num_rows)

    def write(self) -> None:
        items = newest_descriptions(pa.concat_tables(self._pending))
        self._pending = []
        if items.num_rows:
            self._store.write_items(items)

    def checkpoint(self, partition: Partition, part: str) -> None:
        return None


def newest_descriptions(items: pa.Table) -> pa.Table:
    """One row an item: the last of those with its greatest event time."""
    newest: dict[str, dict[str, object]] = {}
    for row in items.to_pylist():
        known = newest.get(row["item_id"])
        if known is None or row["event_time_ms"] >= known["event_time_ms"]:
            newest[row["item_id"]] = row
    return pa.Table.from_pylist(list(newest.values()), schema=ITEM_SCHEMA)
