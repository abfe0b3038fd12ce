"""Blocks of a stream that can be scored at once without peeking: score a block, then apply it.

Scoring one order at a time and applying it before the next is the definition of prequential
evaluation, and slow. Inside a block made here no order's user had an event before it, so scoring
the whole block against the state before it gives every user exactly the sequence they had.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.events import EventType
from reaseq.sequences.orders import orders_of
from reaseq.sequences.rows import aligned, with_generated


def blocks_of(events: pa.Table, max_orders: int) -> Iterator[pa.Table]:
    """Cut `events` (EVENT_SCHEMA, sorted by time) into consecutive blocks; all rows are in one.

    A block never splits a moment, holds at most `max_orders` orders (more only if one moment does),
    and ends before a user who already has an event in it orders.
    """
    if not events.num_rows:
        return
    times_ms = events["event_time_ms"].to_numpy()
    users = events["user_id"].to_pylist()
    orders = pc.equal(events["event_type"], EventType.PURCHASE.value).to_pylist()
    moments = np.flatnonzero(np.diff(times_ms, prepend=-1))
    start, met, num_orders = 0, set[str](), 0
    for first, end in zip(moments, [*moments[1:], len(users)], strict=True):
        buyers = {users[row] for row in range(first, end) if orders[row]}
        if start < first and (num_orders + len(buyers) > max_orders or met & buyers):
            yield events.slice(start, first - start)
            start, met, num_orders = int(first), set[str](), 0
        met.update(users[first:end])
        num_orders += len(buyers)
    yield events.slice(start)


def score_block(
    evaluation: PrequentialEvaluation, sequences: pa.Table, generated: pa.Table, block: pa.Table
) -> None:
    """Score every order of a block, moment by moment, the learners learning in between.

    `sequences` (SEQUENCE_SCHEMA) and `generated` (GENERATED_SCHEMA) are those before the block of
    the users who order in it; `block` comes from `blocks_of`. What learns online is as fresh as if
    each order came alone.
    """
    times_ms = block["event_time_ms"].to_numpy()
    starts = np.flatnonzero(np.diff(times_ms, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(times_ms)], strict=True):
        moment = block.slice(start, end - start)
        orders = orders_of(moment)
        if orders.num_rows:
            rows = aligned(sequences, orders["user_id"].to_pylist())
            evaluation.score(with_generated(rows, generated), orders)
        evaluation.observe(moment)
