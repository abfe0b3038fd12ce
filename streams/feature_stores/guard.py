"""The guard that every online store of ours keeps: a row never goes back in time.

Writers race by design (a shard that was thought dead, a replay, a backfill beside the stream), so
every row carries its order `(event time in microseconds, revision)`, and a write counts only when
its order is at least the stored one. What a store adds is where it keeps the orders and how reading
and writing them becomes one atomic step.

Through Feast's own interface the revision travels as `created_timestamp = event_timestamp +
revision microseconds`: the created timestamp is what Feast itself breaks ties by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from feast import FeatureView, RepoConfig

from streams.feature_stores.encoding import EncodedRows

Order = tuple[int, int]
"""Event time in microseconds since 1970 and revision; compared in this sequence."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class GuardedOnlineStore(Protocol):
    """An online store that refuses to go back in time, and counts how often."""

    num_accepted: int
    num_refused: int

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """Write the rows whose order is not below the stored one; return how many those were.

        The effect is that of writing the rows one by one in the order given, all or nothing.
        """
        ...


def pass_guard(rows: EncodedRows, stored: Mapping[bytes, Order]) -> tuple[int, list[int]]:
    """How many rows pass one after the other, and the index of the last that passed for each key.

    Only the rows at these indices need writing: they overwrite the others that passed.
    """
    num_accepted = 0
    orders = dict(stored)
    last: dict[bytes, int] = {}
    for index, (key, order) in enumerate(zip(rows.entity_keys, rows.orders, strict=True)):
        if key in orders and order < orders[key]:
            continue
        num_accepted += 1
        orders[key] = order
        last[key] = index
    return num_accepted, list(last.values())


def order_of(event: datetime, created: datetime | None) -> Order:
    """The order of a row from Feast's two timestamps; naive ones are UTC, as Feast has it."""
    event = _aware(event)
    revision = 0 if created is None else (_aware(created) - event) // _MICROSECOND
    return (event - _EPOCH) // _MICROSECOND, revision


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
