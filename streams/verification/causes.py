"""In what a sequence differs from what the events make of it, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from reaseq.types import Int64s


class Cause(StrEnum):
    """Why two sequences of a user differ."""

    MISSING = "not in the online store"
    BEHIND = "lacks events of the archive"
    AHEAD = "holds events that the archive lacks"
    CONTENT = "holds the same events with other content"
    NEVER = "is what the events never made"


ADVICE = {
    Cause.MISSING: "the store lost the user, or a history was never backfilled: send the user's "
    "events again (docs/operations.md, When Redis lost data)",
    Cause.BEHIND: "the stream is behind (`reaseq status` shows its lag), or the store lost writes",
    Cause.AHEAD: "the stream ended before its checkpoint: start it, and it archives them",
    Cause.CONTENT: "a defect: keep the home and report it with the example",
    Cause.NEVER: "serving saw what training never will: the store went back or lost writes",
}


class HeldEvent(NamedTuple):
    """One event as a sequence holds it; they compare as they are ordered there."""

    event_time_ms: int
    event_key: int
    item_id: str
    event_type: str
    value_bits: int
    """Of the value as a double; that of NaN where there is none."""


Sequence = list[HeldEvent]


def sequences_of(rows: pa.Table) -> dict[str, Sequence]:
    """The sequence of each user of some rows (SEQUENCE_SCHEMA), oldest event first."""
    columns = [
        rows[name].to_pylist()
        for name in (
            "user_id",
            "event_times_ms",
            "event_keys",
            "item_ids",
            "event_types",
            "event_values",
        )
    ]
    return {
        user: list(map(HeldEvent, times, keys, items, types, value_bits(values).tolist()))
        for user, times, keys, items, types, values in zip(*columns, strict=True)
    }


def value_bits(values: list[float | None]) -> Int64s:
    """Bits that are equal where values are, a missing one and NaN alike."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    return np.where(np.isnan(numbers), np.float64(np.nan), numbers).view(np.int64)


def cause_of(expected: Sequence, found: Sequence, max_events: int) -> Cause | None:
    """In what `found` differs from `expected`; None where it does not."""
    if found == expected:
        return None
    if not found:
        return Cause.MISSING
    known = {event.event_key for event in expected}
    # What is older than a full sequence fell out of it.
    oldest = expected[0][:2] if len(expected) == max_events else (0, 0)
    if any(event.event_key not in known and event[:2] > oldest for event in found):
        return Cause.AHEAD
    if known - {event.event_key for event in found}:
        return Cause.BEHIND
    return Cause.CONTENT
