"""The guard that every online store of ours keeps: a row never goes back in time.

Writers race by design (a shard that was thought dead, a replay, a backfill beside the stream), so
every row carries its version `(event time in microseconds, revision)`, and a write counts only when
it is at least the stored one. What a store adds is where it keeps the versions and how reading
and writing them becomes one atomic step.

Through Feast's own interface the revision travels as `created_timestamp = event_timestamp +
revision microseconds`: the created timestamp is what Feast itself breaks ties by.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.compiled import compiled
from reaseq.errors import UnavailableError
from reaseq.types import Bools, Int64s
from streams.feature_store.encoding import EncodedRows

logger = logging.getLogger(__name__)

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""A row as Feast's own interface has it: key, features, event and created timestamp."""

RowVersion = tuple[int, int]
"""Event time in microseconds since 1970 and revision; compared in this sequence."""

ROWS_AT_ONCE = 250
"""Rows that are encoded together: while a store takes them in, the next are encoded.

More would be faster to encode, up to what a processor's cache holds, and slower for Redis, which
compares every key of a transaction with those before it.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class OnlineStoreError(UnavailableError):
    """The online store cannot be reached, or does not let us in; the message says what to check."""


class GuardedOnlineStore(Protocol):
    """An online store that refuses to go back in time, and counts how often."""

    num_accepted: int
    num_refused: int

    def write_rows(
        self, config: RepoConfig, view: FeatureView, batches: Iterable[EncodedRows]
    ) -> int:
        """Write the rows whose version is not below the stored one; return how many those were.

        The effect is that of writing the rows one by one in the order given. A row is seen whole or
        not at all; whether the rows of a batch appear together is the store's own promise. After an
        error some may be written: writing them all again does no harm.
        """
        ...

    def has_rows(self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array) -> Bools:
        """Which of these keys have a row in the view; much cheaper than reading it."""
        ...

    def delete_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: pa.Array, until_us: int
    ) -> int:
        """Remove the rows of these keys whose event time is at most that; how many there were."""
        ...

    def sync(self, config: RepoConfig) -> None:
        """Return when every row written before outlives a power cut; see each store's promise."""
        ...

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Feast's own read: of each key the event time and the features, or None and None."""
        ...


class Guarded(ABC):
    """What all guarded stores share: the counts, and Feast's own way in."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = threading.Lock()
        self.num_accepted = 0
        self.num_refused = 0

    def _count(self, view: str, num_accepted: int, num_refused: int) -> None:
        with self._counting:
            self.num_accepted += num_accepted
            self.num_refused += num_refused
        if num_refused:
            logger.debug("%s: %d rows refused, newer ones are stored", view, num_refused)

    @abstractmethod
    def write_rows(
        self, config: RepoConfig, view: FeatureView, batches: Iterable[EncodedRows]
    ) -> int:
        """See `GuardedOnlineStore.write_rows`."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """What `write_to_online_store`, `push` and `materialize` call, guarded alike."""
        if not data:
            return
        self.write_rows(config, table, [encoded(config, data)])
        if progress:
            progress(len(data))


class Stored(NamedTuple):
    """The versions that a store holds of the keys to write: one entry a row to write."""

    is_there: Bools
    event_times_us: Int64s
    revisions: Int64s


def pass_guard(rows: EncodedRows, stored: Stored) -> tuple[int, Int64s]:
    """How many rows pass one after the other, and the index of the last that passed for each key.

    Only the rows at these indices, which increase, need writing: they overwrite the others that
    passed.
    """
    codes = rows.entity_keys.dictionary_encode().indices.to_numpy()
    return _pass(codes, rows.event_times_us, rows.revisions, *stored)


@compiled
def _pass(
    codes: npt.NDArray[np.int32],
    times_us: Int64s,
    revisions: Int64s,
    is_there: Bools,
    stored_us: Int64s,
    stored_revisions: Int64s,
) -> tuple[int, Int64s]:
    num_accepted = 0
    newest = np.full(len(codes), -1, np.int64)
    for row in range(len(codes)):
        before = newest[codes[row]]
        if before >= 0:
            has_one, least_us, least_revision = True, times_us[before], revisions[before]
        else:
            has_one, least_us = is_there[row], stored_us[row]
            least_revision = stored_revisions[row]
        is_older = times_us[row] < least_us or (
            times_us[row] == least_us and revisions[row] < least_revision
        )
        if not (has_one and is_older):
            num_accepted += 1
            newest[codes[row]] = row
    return num_accepted, np.sort(newest[newest >= 0])


def encoded(config: RepoConfig, data: list[FeastRow]) -> EncodedRows:
    """Rows that come through Feast's own interface as those that come through ours."""
    version = config.entity_key_serialization_version
    names = list(data[0][1]) if data else []
    keys = [serialize_entity_key(key, version) for key, *_ in data]
    versions = [row_version_of(event, created) for *_, event, created in data]
    values = {n: [row[1][n].SerializeToString() for row in data] for n in names}
    return EncodedRows(
        entity_keys=pa.array(keys, pa.binary()),
        event_times_us=np.array([time_us for time_us, _ in versions], np.int64),
        revisions=np.array([revision for _, revision in versions], np.int64),
        values={n: pa.array(column, pa.binary()) for n, column in values.items()},
        scalars={
            n: pa.array([extract_text_and_num(row[1][n], False)[0] for row in data], pa.string())
            for n in names
        },
    )


def row_version_of(event: datetime, created: datetime | None) -> RowVersion:
    """The version of a row from Feast's two timestamps; naive ones are UTC, as Feast has it."""
    event = _aware(event)
    revision = 0 if created is None else (_aware(created) - event) // _MICROSECOND
    return (event - _EPOCH) // _MICROSECOND, revision


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
