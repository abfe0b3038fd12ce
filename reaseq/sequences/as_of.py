"""Sequences as they were just before each order, computed from the events themselves.

For histories that fit into memory; a running system asks its feature store (`streams.offline`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.orders import orders_of
from reaseq.sequences.rows import empty_sequences
from reaseq.sequences.state import SequenceState
from reaseq.types import Int64s

CHUNK_EVENTS = 20_000
"""Events merged at once; bounds the memory for the versions that a merge leaves behind."""


def training_rows(events: pa.Table, max_events: int = 100) -> pa.Table:
    """Every order in `events` (EVENT_SCHEMA) with the sequence strictly before it.

    Returns TRAINING_SCHEMA in the order of `orders_of`. A sequence is the newest `max_events`
    distinct events of the user whose time is before the order's; a user's first order has an empty
    one. Events of one time are applied together, so none of them sees another.
    """
    orders = orders_of(events)
    versions = _versions(events, max_events)
    nobody = empty_sequences([""])
    found = _last_before(versions, orders)
    rows = pa.concat_tables([versions, nobody]).take(
        pa.array(np.where(found < 0, versions.num_rows, found))
    )
    columns = {name: rows[name] for name in SEQUENCE_SCHEMA.names}
    columns |= {name: orders[name] for name in orders.column_names}
    return pa.table([columns[name] for name in TRAINING_SCHEMA.names], TRAINING_SCHEMA)


def _versions(events: pa.Table, max_events: int) -> pa.Table:
    """Every version that a sequence went through, one per user and time (SEQUENCE_SCHEMA)."""
    in_time = events.sort_by("event_time_ms")
    state = SequenceState(max_events)
    versions = [SEQUENCE_SCHEMA.empty_table()]
    for start in range(0, in_time.num_rows, CHUNK_EVENTS):
        merged = state.merge(in_time.slice(start, CHUNK_EVENTS), keep_history=True)
        versions += [merged.history, merged.changed]
    return pa.concat_tables(versions)


def _last_before(versions: pa.Table, orders: pa.Table) -> Int64s:
    """The position of the newest version before each order, or -1.

    Of versions with one time, which a cut between two chunks leaves, the greatest revision counts.
    """
    users = pc.unique(versions["user_id"])
    times = np.unique(
        np.concatenate([versions["newest_event_time_ms"], orders["label_time_ms"]])
    ).astype(np.int64)

    def keys(user_ids: pa.ChunkedArray, times_ms: pa.ChunkedArray) -> Int64s:
        """One number per (user, time), in the order of both; -1 - … for an unknown user."""
        user = np.asarray(pc.fill_null(pc.index_in(user_ids, value_set=users), -1), np.int64)
        return np.asarray(user * len(times) + np.searchsorted(times, times_ms), np.int64)

    held = keys(versions["user_id"], versions["newest_event_time_ms"])
    by_key = np.lexsort((versions["revision"].to_numpy(), held))
    asked = keys(orders["user_id"], orders["label_time_ms"])
    place = np.searchsorted(held[by_key], asked, side="left") - 1
    found = np.where(place >= 0, by_key[np.maximum(place, 0)], -1)
    is_same_user = (found >= 0) & (held[found] // len(times) == asked // len(times))
    return np.where(is_same_user, found, -1)
