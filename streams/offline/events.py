"""All events the shards have taken in: the truth about the past, from which all else follows.

An event lies here with its arrival: partition, epoch and offset. So what was known of a user at any
moment is computed (`reaseq.sequences.as_of`) and equals what the shard's merge held there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from duckdb import DuckDBPyConnection
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import BIGINT, DOUBLE, VARCHAR

from reaseq.events import MAX_EVENT_TIME_MS, EventType
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.as_of import sequences_before
from reaseq.sequences.hashing import hash64
from reaseq.types import Column, Int64s
from streams.offline.queries import LIMITS, ROWS_A_BATCH, QueryLimits, answer, names, query_engine
from streams.offline.tables import Commit, OfflineTable

ARCHIVED_SCHEMA = pa.schema(
    [
        *EVENT_SCHEMA,
        pa.field("partition", pa.int64(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("log_offset", pa.int64(), nullable=False),
    ]
)
"""An event and its arrival; those of one user came in the order of (epoch, log_offset)."""

EVENTS_TABLE = "events"
"""The archive's name among the offline tables."""

NO_PARTITION = -1
"""Of events that never were in the log: a backfilled history, which precedes everything."""

LABELS_AT_ONCE = 50_000
"""Labels that are answered together, those of one user never apart: bounds the memory."""

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


IN_TURN = f"""
SELECT {names(EVENT_SCHEMA.names, "events")} FROM events
WHERE user_id IN (SELECT user_id FROM asked)
ORDER BY user_id, epoch, log_offset
"""
"""The events of those who are asked for, one user after the other, in the order of arrival."""


def arrived(events: pa.Table, partition: int, epoch: int, offsets: Int64s) -> pa.Table:
    """Events (EVENT_SCHEMA) as they are archived (ARCHIVED_SCHEMA)."""
    columns: list[Column] = list(events.select(EVENT_SCHEMA.names).columns)
    columns += [pa.repeat(pa.scalar(n, pa.int64()), len(offsets)) for n in (partition, epoch)]
    columns.append(pa.array(offsets, pa.int64()))
    return pa.Table.from_arrays(columns, schema=ARCHIVED_SCHEMA)


def as_history(events: pa.Table) -> pa.Table:
    """Events that precede the log, in the order in which they happened (ARCHIVED_SCHEMA)."""
    in_time = events.sort_by("event_time_ms")
    return arrived(in_time, NO_PARTITION, 0, np.arange(in_time.num_rows))


class EventArchive:
    """A Delta table. Readers see an event once, however often it was appended."""

    def __init__(self, uri: str | Path, limits: QueryLimits = LIMITS) -> None:
        self.table = OfflineTable.create(uri, ARCHIVED_SCHEMA)
        self._limits = limits

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Add events (ARCHIVED_SCHEMA), once a commit; see `OfflineTable.append`."""
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

    def users(self) -> list[str]:
        """Everybody who ever did something, in order."""
        found: list[str] = sorted(pc.unique(self.table.read(["user_id"])["user_id"]).to_pylist())
        return found

    def in_turn(self, users: Sequence[str]) -> pa.Table:
        """All events of some users (EVENT_SCHEMA), one user after the other, by arrival.

        What came twice is there twice.
        """
        asked = pa.table({"user_id": pa.array(users, pa.string())})
        with query_engine(self._limits) as engine:
            engine.register("events", self.table.dataset())
            engine.register("asked", asked)
            return answer(engine, IN_TURN, EVENT_SCHEMA)

    def sequences_before(self, labels: pa.Table, max_events: int) -> pa.Table:
        """The sequence of a user just before each label, row i for label i (SEQUENCE_SCHEMA).

        What a replay of the log would hold before the first purchase of an order; see
        `reaseq.sequences.as_of.sequences_before`. Some users at a time, so the memory is bounded by
        the answer.
        """
        in_turn = np.asarray(pc.sort_indices(labels["user_id"]))
        asked = labels.select(["user_id", "label_time_ms"]).take(in_turn)
        found = [SEQUENCE_SCHEMA.empty_table()]
        with query_engine(self._limits) as engine:
            engine.register("events", self.table.dataset())
            engine.register("asked", asked)
            with engine.sql(IN_TURN).to_arrow_reader(ROWS_A_BATCH) as batches:
                events = _Peekable(batches)
                for some in _whole_users(asked):
                    theirs = events.up_to(some["user_id"][-1].as_py())
                    found.append(sequences_before(theirs, some, max_events, by_arrival=True))
        return pa.concat_tables(found).take(np.argsort(in_turn, kind="stable"))

    def sequences(self, max_events: int, before_ms: int = MAX_EVENT_TIME_MS) -> pa.Table:
        """Everybody's sequence of what happened before a moment, by user (SEQUENCE_SCHEMA)."""
        users = self.users()
        times = pa.repeat(pa.scalar(before_ms, pa.int64()), len(users))
        labels = pa.table({"user_id": pa.array(users, pa.string()), "label_time_ms": times})
        return self.sequences_before(labels, max_events)


class _Peekable:
    """Events by user, from which those up to a user are taken."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._waiting = EVENT_SCHEMA.empty_table()

    def up_to(self, user_id: str) -> pa.Table:
        """The events that were not taken of all users up to this one."""
        taken = []
        while True:
            is_theirs = pc.less_equal(self._waiting["user_id"], user_id)
            num_theirs = pc.sum(is_theirs).as_py() or 0
            taken.append(self._waiting.slice(0, num_theirs))
            self._waiting = self._waiting.slice(num_theirs)
            if self._waiting.num_rows or (batch := next(self._batches, None)) is None:
                return pa.concat_tables(taken)
            self._waiting = pa.Table.from_batches([batch]).cast(EVENT_SCHEMA)


def _whole_users(labels: pa.Table) -> Iterator[pa.Table]:
    """Labels in parts, those of one user in the same."""
    users = labels["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    start = 0
    while start < len(users):
        last = min(start + LABELS_AT_ONCE, len(users)) - 1
        end = int(np.searchsorted(users, users[last], side="right"))
        yield labels.slice(start, end - start)
        start = end


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
