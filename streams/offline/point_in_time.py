"""The point-in-time join: for each key and time that is asked, the row that was true then.

Three steps, so that the wide columns of a row are read for those alone that are found: the versions
of the keys that are asked, reduced to one a time; DuckDB's ASOF JOIN of these narrow columns; the
rows it names. A test compares the join with a search through all rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.types import Column
from streams.offline.queries import LIMITS, QueryLimits, answer, names, query_engine
from streams.offline.tables import APPEND_ID, APPEND_ROW, OfflineTable

EVENT_TIMESTAMP, CREATED = "event_timestamp", "created"
"""When a row became true, and what orders the rows of one time; both timestamps."""

FOUND = f"""
CREATE TEMP TABLE found AS
WITH versions AS (
    SELECT "{{key}}" AS key, epoch_us("{{time}}") AS time_us,
        max(row("{{created}}", {APPEND_ID}, {APPEND_ROW})) AS version
    FROM rows WHERE "{{key}}" IN (SELECT key FROM asked) GROUP BY ALL
)
SELECT asked.place, version[2] AS {APPEND_ID}, version[3] AS {APPEND_ROW}
FROM asked ASOF JOIN versions
ON asked.key = versions.key AND asked.time_us >= versions.time_us
WHERE {{max_age_us}} = 0 OR asked.time_us - versions.time_us <= {{max_age_us}}
"""

PICKED = f"""
CREATE TEMP TABLE picked AS
SELECT {APPEND_ID}, {APPEND_ROW}, {{columns}} FROM rows
JOIN (SELECT DISTINCT {APPEND_ID}, {APPEND_ROW} FROM found) USING ({APPEND_ID}, {APPEND_ROW})
"""

ANSWER = f"""
SELECT {{columns}} FROM asked LEFT JOIN found USING (place)
LEFT JOIN picked USING ({APPEND_ID}, {APPEND_ROW}) ORDER BY place
"""


def rows_as_of(
    table: OfflineTable,
    key: str,
    asked_keys: Column,
    asked_us: Column,
    schema: pa.Schema,
    *,
    time: str = EVENT_TIMESTAMP,
    created: str = CREATED,
    max_age_us: int = 0,
    limits: QueryLimits = LIMITS,
) -> pa.Table:
    """The columns of `schema` for each key and time in microseconds that is asked, in that order.

    The row is, among those of the key with a `time` that is not later, the one with the greatest
    (`time`, `created`), of equal ones the last appended; nulls where there is none. With
    `max_age_us` above zero a row older than that is not found.
    """
    asked = pa.table(
        {
            "place": pa.array(np.arange(len(asked_keys))),
            "key": asked_keys,
            "time_us": asked_us,
        }
    )
    sought = {"key": key, "time": time, "created": created, "max_age_us": max_age_us}
    with query_engine(limits) as engine:
        engine.register("rows", table.dataset())
        engine.register("asked", asked)
        engine.execute(FOUND.format(**sought))
        engine.execute(PICKED.format(columns=names(schema.names, "rows")))
        return answer(engine, ANSWER.format(columns=names(schema.names, "picked")), schema)


def newest_rows(
    table: OfflineTable, key: str, schema: pa.Schema, limits: QueryLimits = LIMITS
) -> pa.Table:
    """The newest row of each key, by key."""
    keys = keys_of(table, key)
    end_of_time = pa.repeat(np.iinfo(np.int64).max, len(keys))
    return rows_as_of(table, key, keys, end_of_time, schema, limits=limits)


def keys_of(table: OfflineTable, key: str) -> pa.Array:
    """Every key that has a row, in order."""
    found = pc.unique(table.read([key])[key])
    return found.take(pc.sort_indices(found))
