"""Sequences as they were just before given moments, computed from the events themselves.

A user's sequence as of any moment follows from the events, so nothing but events is ever kept of
the past. For events that fit into memory; `streams.offline.events` hands over some users at a time.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.events import EventType
from reaseq.schemas import SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.codes import Codes
from reaseq.sequences.columns import empty_columns
from reaseq.sequences.orders import orders_of
from reaseq.sequences.replay import Moments, first_purchases, happened_before, replay_to
from reaseq.sequences.state import event_columns, sequence_rows
from reaseq.types import Int64s

MOMENTS_AT_ONCE = 20_000
"""Sequences that are held as arrays of full length at a time."""


def training_rows(events: pa.Table, max_events: int = 100) -> pa.Table:
    """Every order in `events` (EVENT_SCHEMA) with the sequence strictly before it.

    Returns TRAINING_SCHEMA in the order of `orders_of`. A sequence is the newest `max_events`
    distinct events of the user whose time is before the order's; a user's first order has an empty
    one. Events of one time are applied together, so none of them sees another.
    """
    return with_sequences(orders := orders_of(events), sequences_before(events, orders, max_events))


def with_sequences(orders: pa.Table, sequences: pa.Table) -> pa.Table:
    """Orders (ORDER_SCHEMA) beside the sequences before them, as TRAINING_SCHEMA."""
    columns = {name: sequences[name] for name in SEQUENCE_SCHEMA.names}
    columns |= {name: orders[name] for name in orders.column_names}
    return pa.table([columns[name] for name in TRAINING_SCHEMA.names], TRAINING_SCHEMA)


def sequences_before(
    events: pa.Table, labels: pa.Table, max_events: int = 100, *, by_arrival: bool = False
) -> pa.Table:
    """The sequence of a user just before each label, row i for label i (SEQUENCE_SCHEMA).

    `labels` has the columns `user_id` and `label_time_ms`. Known are the events (EVENT_SCHEMA)
    whose time is strictly before the label's. With `by_arrival` the events are in the order in
    which they arrived, and where the label is an order among them, only those are known that had
    arrived before the first purchase of it: what a replay of the log holds at that point. Without
    any the sequence is empty, its numbers 0; `revision` counts the merges that changed it.
    """
    users = pc.unique(labels["user_id"])
    events = events.filter(pc.is_in(events["user_id"], value_set=users))
    of_label = _places(labels["user_id"], users)
    of_event = _places(events["user_id"], users)
    times_ms = np.asarray(labels["label_time_ms"]).astype(np.int64)
    found: list[pa.Table] = []
    order: list[Int64s] = []
    is_order = np.zeros(len(of_label), np.bool_)
    if by_arrival:
        table, first, end = _by_user(events, of_event, len(users), in_time=False)
        bought = np.asarray(pc.equal(table["event_type"], EventType.PURCHASE.value))
        event_times = np.asarray(table["event_time_ms"]).astype(np.int64)
        arrived = first_purchases(event_times, bought, first[of_label], end[of_label], times_ms)
        is_order = arrived >= 0
        order.append(np.flatnonzero(is_order))
        rows = Moments(of_label, first[of_label], arrived, times_ms)
        found.append(_replayed(table, rows, order[-1], users, max_events))
    table, first, end = _by_user(events, of_event, len(users), in_time=True)
    event_times = np.asarray(table["event_time_ms"]).astype(np.int64)
    order.append(np.flatnonzero(~is_order))
    happened = happened_before(event_times, first[of_label], end[of_label], times_ms)
    rows = Moments(of_label, first[of_label], happened, times_ms)
    found.append(_replayed(table, rows, order[-1], users, max_events))
    return pa.concat_tables(found).take(np.argsort(np.concatenate(order), kind="stable"))


def _replayed(
    events: pa.Table, moments: Moments, chosen: Int64s, users: pa.Array, max_events: int
) -> pa.Table:
    """The sequences of the chosen moments, in that order."""
    items = Codes()
    columns = event_columns(events, np.zeros(events.num_rows, np.int64), items)
    window, again = empty_columns(1, max_events), empty_columns(1, max_events)
    turns = np.lexsort((moments.arrived[chosen], moments.users[chosen]))
    in_turn = chosen[turns]
    tables = [SEQUENCE_SCHEMA.empty_table()]
    for start in range(0, len(in_turn), MOMENTS_AT_ONCE):
        part = in_turn[start : start + MOMENTS_AT_ONCE]
        room = empty_columns(len(part), max_events)
        some = Moments(*(column[part] for column in moments))
        replay_to(columns, some, items.hashes(), window, again, room)
        tables.append(sequence_rows(room, np.arange(len(part)), users.take(some.users), items))
    return pa.concat_tables(tables).take(np.argsort(turns))


def _by_user(
    events: pa.Table, of_event: Int64s, num_users: int, *, in_time: bool
) -> tuple[pa.Table, Int64s, Int64s]:
    """The events of one user after the other, and where those of each begin and end."""
    times = np.asarray(events["event_time_ms"]) if in_time else np.zeros(len(of_event), np.int64)
    in_order = np.lexsort((times, of_event))
    per_user = np.bincount(of_event, minlength=num_users)
    end = np.cumsum(per_user)
    return events.take(in_order), end - per_user, end


def _places(user_ids: pa.ChunkedArray, users: pa.Array) -> Int64s:
    return np.asarray(pc.index_in(user_ids, value_set=users)).astype(np.int64)
