"""All events the shards have taken in, as Parquet: for labels, statistics, batch checks."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from reaseq.schemas import EVENT_SCHEMA


class EventArchive:
    """A folder of Parquet parts. Readers see an event once, however often it was appended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, events: pa.Table, part: str) -> None:
        """Add events (EVENT_SCHEMA) under a name; the same name again replaces itself."""
        new = self._folder / f".{part}.{os.getpid()}.new"
        pq.write_table(events, new, compression="zstd")
        new.replace(self._folder / f"{part}.parquet")

    def num_rows(self) -> int:
        """Events appended so far, those that came twice counted twice; reads no event."""
        return sum(pq.read_metadata(file).num_rows for file in self._folder.glob("*.parquet"))

    def read(self, before_ms: int | None = None) -> pa.Table:
        """Distinct events with an event time below `before_ms`, by time."""
        files = sorted(str(file) for file in self._folder.glob("*.parquet"))
        if not files:
            return EVENT_SCHEMA.empty_table()
        recent = ds.field("event_time_ms") < before_ms if before_ms is not None else None
        events = ds.dataset(files, schema=EVENT_SCHEMA).to_table(filter=recent)
        return _distinct(events).sort_by("event_time_ms")


def _distinct(events: pa.Table) -> pa.Table:
    """Keep the latest content of each event id, as the merge does for a conflict in time."""
    ordered = events.sort_by("event_time_ms").append_column(
        "place", pa.array(range(events.num_rows), pa.int64())
    )
    last = ordered.group_by("event_id").aggregate([("place", "max")])["place_max"]
    return ordered.take(last.combine_chunks().sort()).drop_columns("place")
