"""History from a table into the features, by the same merge as the stream and without the log.

Run it before the stream starts, or stop the stream first: a shard that already holds a user does
not look again what a backfill wrote beneath it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from reaseq.errors import InputError
from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.state import SequenceState
from streams.erasure.erased_users import NOBODY, ErasedUsers, stay
from streams.feature_store.ports import FeatureTables
from streams.log.event_times import EventTimes
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.offline.events import as_history
from streams.offline.tables import Commit
from streams.shards.handlers.sequences import EventSink


def check_times(history: Path, times: EventTimes, now_ms: int) -> None:
    """Refuse a history in Parquet with event times that the stream would set aside (InputError)."""
    column = ds.dataset(history, format="parquet").to_table(["event_time_ms"])["event_time_ms"]
    times_ms = np.asarray(column)
    latest_ms = times.latest_ms(np.full(len(times_ms), NO_TIMESTAMP_MS), now_ms)
    refused = times.refused(times_ms, latest_ms)
    if len(refused):
        first = refused[0]
        reason = times.reason(int(times_ms[first]), int(latest_ms[first]))
        raise InputError(
            f"{history}: {len(refused):,} of {len(times_ms):,} events have a time that is not "
            f"believed; leave them out, or change the setting. The first: {reason}"
        )


def backfill(
    events: pa.Table,
    store: FeatureTables,
    archive: EventSink,
    max_events: int,
    commit: Commit,
    erased: ErasedUsers = NOBODY,
) -> int:
    """Merge all events (EVENT_SCHEMA) of some users into the features; return the number of users.

    Those of users who were erased up to a later time are left out.
    `commit` names the archived events: under the same name they are added once, so a step can be
    repeated. What the online store already holds of these users is kept.
    """
    events = events.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)
    events = events.filter(pa.array(stay(events, erased)))
    archive.append(as_history(events), commit)
    state = SequenceState(max_events)
    state.merge(events)
    store.write(SEQUENCES, _with_stored(state.rows(), events, store, max_events))
    return len(state)


def _with_stored(
    rows: pa.Table, events: pa.Table, store: FeatureTables, max_events: int
) -> pa.Table:
    """The rows, those of users the store already knows merged with what it holds."""
    stored = store.read(SEQUENCES, rows["user_id"].to_pylist())
    if not stored.num_rows:
        return rows
    met = pc.is_in(events["user_id"], stored["user_id"].combine_chunks())
    state = SequenceState.from_rows(stored, max_events)
    changed = state.rows(state.merge(events.filter(met)).slots)
    fresh = rows.filter(pc.invert(pc.is_in(rows["user_id"], stored["user_id"].combine_chunks())))
    return pa.concat_tables([fresh, changed])
