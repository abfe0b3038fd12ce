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
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from reaseq.errors import UnavailableError
from streams.feature_store.encoding import EncodedRows

logger = logging.getLogger(__name__)

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""A row as Feast's own interface has it: key, features, event and created timestamp."""

RowVersion = tuple[int, int]
"""Event time in microseconds since 1970 and revision; compared in this sequence."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class OnlineStoreError(UnavailableError):
    """The online store cannot be reached, or does not let us in; the message says what to check."""


class GuardedOnlineStore(Protocol):
    """An online store that refuses to go back in time, and counts how often."""

    num_accepted: int
    num_refused: int

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """Write the rows whose version is not below the stored one; return how many those were.

        The effect is that of writing the rows one by one in the order given. A row is seen whole or
        not at all; whether the rows of a batch appear together is the store's own promise. After an
        error some may be written: writing them all again does no harm.
        """
        ...


class GuardCounts:
    """What a guarded store accepted and refused of the rows that this object was given."""

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


def pass_guard(rows: EncodedRows, stored: Mapping[bytes, RowVersion]) -> tuple[int, list[int]]:
    """How many rows pass one after the other, and the index of the last that passed for each key.

    Only the rows at these indices need writing: they overwrite the others that passed.
    """
    num_accepted = 0
    versions = dict(stored)
    last: dict[bytes, int] = {}
    for index, (key, version) in enumerate(zip(rows.entity_keys, rows.row_versions, strict=True)):
        if key in versions and version < versions[key]:
            continue
        num_accepted += 1
        versions[key] = version
        last[key] = index
    return num_accepted, list(last.values())


def encoded(config: RepoConfig, data: list[FeastRow]) -> EncodedRows:
    """Rows that come through Feast's own interface as those that come through ours."""
    version = config.entity_key_serialization_version
    names = list(data[0][1]) if data else []
    return EncodedRows(
        entity_keys=[serialize_entity_key(key, version) for key, *_ in data],
        row_versions=[row_version_of(event, created) for *_, event, created in data],
        values={n: [row[1][n].SerializeToString() for row in data] for n in names},
        texts={n: [extract_text_and_num(row[1][n], False)[0] for row in data] for n in names},
    )


def row_version_of(event: datetime, created: datetime | None) -> RowVersion:
    """The version of a row from Feast's two timestamps; naive ones are UTC, as Feast has it."""
    event = _aware(event)
    revision = 0 if created is None else (_aware(created) - event) // _MICROSECOND
    return (event - _EPOCH) // _MICROSECOND, revision


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
