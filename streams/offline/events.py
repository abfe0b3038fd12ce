"""All events the shards have taken in: for labels, statistics, batch checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from duckdb import DuckDBPyConnection
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import BIGINT, DOUBLE, VARCHAR

from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.hashing import hash64
from streams.offline.queries import LIMITS, QueryLimits, answer, names, query_engine
from streams.offline.tables import Commit, OfflineTable

TYPES = ", ".join(f"'{event_type.value}'" for event_type in EventType)

DISTINCT = f"""
WITH contents AS (SELECT DISTINCT {names(EVENT_SCHEMA.names, "events")} FROM events),
numbered AS (
    SELECT *, count(*) OVER same_event AS num_contents FROM contents
    WINDOW same_event AS (PARTITION BY user_id, event_id)
),
conflicts AS (
    SELECT * EXCLUDE num_contents FROM numbered WHERE num_contents > 1
    QUALIFY 1 = row_number() OVER (
        PARTITION BY user_id, event_id
        ORDER BY event_time_ms DESC, item_hash(item_id) DESC,
            list_position([{TYPES}], event_type) DESC, value_bits(value) DESC
    )
)
SELECT * EXCLUDE num_contents FROM numbered WHERE num_contents = 1
UNION ALL SELECT * FROM conflicts
ORDER BY event_time_ms, user_id, event_id
"""
"""Of the contents of one event the one that `reaseq.sequences.merge` keeps."""


class EventArchive:
    """A Delta table. Readers see an event once, however often it was appended."""

    def __init__(self, uri: str | Path, limits: QueryLimits = LIMITS) -> None:
        self.table = OfflineTable.create(uri, EVENT_SCHEMA)
        self._limits = limits

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Add events (EVENT_SCHEMA), once a commit; see `OfflineTable.append`."""
        self.table.append(events, commit)

    def num_rows(self) -> int:
        """Events appended so far, those that came twice counted twice; reads no event."""
        return self.table.num_rows()

    def read(self, before_ms: int | None = None) -> pa.Table:
        """Distinct events with an event time below `before_ms`, by time, then user and event id.

        An event is named by its user and its id.
        """
        events = self.table.dataset()
        if before_ms is not None:
            events = events.filter(ds.field("event_time_ms") < before_ms)
        with query_engine(self._limits) as engine:
            _define_contents(engine)
            engine.register("events", events)
            return answer(engine, DISTINCT, EVENT_SCHEMA)


def _define_contents(engine: DuckDBPyConnection) -> None:
    """What the merge compares, as functions of SQL on whole columns."""
    for name, function, of in (
        ("item_hash", _item_hash, VARCHAR),
        ("value_bits", _value_bits, DOUBLE),
    ):
        engine.create_function(
            name,
            function,
            [of],
            BIGINT,
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )


def _item_hash(items: pa.ChunkedArray) -> pa.Array:
    return pa.array(hash64(items))


def _value_bits(values: pa.ChunkedArray) -> pa.Array:
    numbers = np.asarray(values.combine_chunks().fill_null(np.nan)).astype(np.float64)
    return pa.array(numbers.view(np.int64))
