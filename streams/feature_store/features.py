"""The feature store behind a small face of our own: Arrow tables in, Arrow tables out.

`Features.apply(home)` once in the driver, then `Features.open(home)` wherever features are written
or read: a Ray actor, a Serve replica, a job. An opened one is safe to share among threads; it does
not travel between processes, so send the home instead. Importing Feast takes seconds: do it when an
actor starts, not in the path of a request.

Online writes keep the version of a row, `(event time, revision)`, and refuse to go back; see
`streams.feature_store.guard`. Online reads and the point-in-time join go through Feast.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretStr

from reaseq.events import EventType
from reaseq.feature_views import SEQUENCES, VIEWS, ViewSpec
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA
from reaseq.sequences.as_of import with_sequences
from reaseq.sequences.state import SequenceState
from streams.feature_store.encoding import encode_entity_keys
from streams.feature_store.guard import ROWS_AT_ONCE, GuardedOnlineStore, pass_guard
from streams.feature_store.repository import (
    OnlineStoreName,
    apply_definitions,
    open_store,
    table_uri,
)
from streams.feature_store.resp import commands
from streams.feature_store.version_texts import stored_versions, version_texts
from streams.feature_store.views import (
    checked,
    encode_rows,
    entity_keys_of,
    offline_rows,
    offline_schema,
    rows_known,
    rows_of_answers,
)
from streams.offline.point_in_time import keys_of, newest_rows
from streams.offline.tables import Commit, OfflineTable

if TYPE_CHECKING:
    from feast import FeatureStore

KEPT = [view for view in VIEWS if not view.is_computed]
"""The views whose past rows are kept offline."""


class Features:
    """The feature store of one home. Make one with `open`."""

    def __init__(self, home: Path, store: FeatureStore, online: GuardedOnlineStore) -> None:
        self.home = home
        self._store = store
        self._online = online
        # Looked up once: a look-up in the registry costs more than the read itself.
        self._views = {v: store.get_feature_view(v.name) for v in VIEWS}
        self._services = {v: store.get_feature_service(v.service) for v in VIEWS}
        tables = store.config.offline_store.tables
        self._tables = {v: OfflineTable(table_uri(home, tables, v.name)) for v in KEPT}

    @staticmethod
    def apply(
        home: Path,
        online: OnlineStoreName = "sqlite",
        redis_url: SecretStr | None = None,
        tables: str | None = None,
        max_events: int = 100,
    ) -> bool:
        """Make `home` a feature store, or bring it up to date; False when it was already.

        Once, in the driver, before others open the home. Takes 0.1 s, or 1 ms without a change.
        `redis_url` goes with `online="redis"`; raises OnlineStoreError when it does not answer, and
        InputError when it would drop features at its limit (`streams.feature_store.eviction`).
        `tables` is where the offline tables lie if not in the home: a folder, or s3://bucket/prefix.
        `max_events` is how long a sequence is at most.
        """
        for view in KEPT:
            uri = table_uri(Path(home), tables, view.name)
            OfflineTable.create(uri, offline_schema(view))
        return apply_definitions(Path(home), online, redis_url, tables, max_events)

    @classmethod
    def open(cls, home: Path) -> Features:
        """The feature store in an applied `home`; raises NotReadyError when it was not applied."""
        return cls(Path(home), *open_store(Path(home)))

    @property
    def num_refused(self) -> int:
        """Rows that this object was given to write online and that were older than the stored."""
        return self._online.num_refused

    def write(self, view: ViewSpec, rows: pa.Table) -> int:
        """Write rows of `view` online; return how many were accepted.

        One transaction in SQLite, one for some hundred rows in Redis. A row is refused when the
        stored one has a greater `(event time, revision)`. Raises ValueError for a column missing or
        mistyped.
        """
        if rows.num_rows == 0:
            return 0
        rows = checked(view, rows)
        starts = range(0, rows.num_rows, ROWS_AT_ONCE)
        batches = (encode_rows(view, rows.slice(start, ROWS_AT_ONCE)) for start in starts)
        return self._online.write_rows(self._store.config, self._views[view], batches)

    def read(self, view: ViewSpec, ids: Sequence[str]) -> pa.Table:
        """The rows of those users or items that have one in `view`, each once."""
        distinct = list(dict.fromkeys(ids))
        if not distinct:
            return view.schema.empty_table()
        answers = self._online.online_read(
            self._store.config, self._views[view], entity_keys_of(view, distinct), view.features
        )
        return rows_of_answers(view, distinct, answers)

    def known(self, view: ViewSpec, ids: Sequence[str]) -> list[str]:
        """Those users or items that have a row in `view` online, each once, in the order asked."""
        distinct = pa.array(dict.fromkeys(ids), pa.string())
        keys = encode_entity_keys(view.key, distinct)
        is_there = self._online.has_rows(self._store.config, self._views[view], keys)
        known: list[str] = distinct.filter(pa.array(is_there)).to_pylist()
        return known

    def delete(self, view: ViewSpec, ids: Sequence[str], until_ms: int) -> int:
        """Remove the online rows of these users or items whose time is at most `until_ms`.

        Returns how many there were. SQLite overwrites what it held. What Redis has in its files is
        gone when it writes them anew (BGSAVE, BGREWRITEAOF).
        """
        keys = encode_entity_keys(view.key, pa.array(dict.fromkeys(ids), pa.string()))
        return self._online.delete_rows(
            self._store.config, self._views[view], keys, 1000 * until_ms
        )

    def sync(self) -> None:
        """Return when every online write before outlives a power cut, those of others too.

        One wait for the disk in SQLite. In Redis nothing: what it keeps is for its own settings
        (`appendonly`, `appendfsync`) to say.
        """
        self._online.sync(self._store.config)

    @property
    def tables(self) -> list[OfflineTable]:
        """The tables of offline rows, to compact."""
        return list(self._tables.values())

    def append(self, view: ViewSpec, rows: pa.Table, commit: Commit) -> None:
        """Add versions of rows offline, whole, and once a commit; see `OfflineTable.append`.

        A version that comes twice under two commits is joined like one. Raises ValueError for a
        column missing or mistyped.
        """
        self._tables[view].append(offline_rows(view, checked(view, rows)), commit)

    def newest(self, view: ViewSpec) -> pa.Table:
        """The newest row of each key of `view`, from the offline store, by key."""
        return newest_rows(self._tables[view], view.key, view.schema)

    def keys(self, view: ViewSpec) -> list[str]:
        """Every user or item that has a row in `view`, from the offline store, in order."""
        keys: list[str] = keys_of(self._tables[view], view.key).to_pylist()
        return keys

    def table(self, view: ViewSpec) -> OfflineTable:
        """The table of a view's offline rows, to compact it or to delete from it."""
        return self._tables[view]

    def training_rows(self, labels: pa.Table) -> pa.Table:
        """Each order (ORDER_SCHEMA) with the user sequence strictly before it (TRAINING_SCHEMA).

        Every label row comes back once, in its place, equal ones too. The sequence is computed from
        the events: what a replay of the log would hold before the order's first purchase. Where
        there is none, the lists are empty and `newest_event_time_ms` and `revision` are 0, a
        revision that no written row should have.
        """
        labels = labels.select(ORDER_SCHEMA.names).cast(ORDER_SCHEMA)
        return with_sequences(labels, self.rows_before(SEQUENCES, labels))

    def rows_before(self, view: ViewSpec, labels: pa.Table) -> pa.Table:
        """The row of a user's `view` for each order, known strictly before the order's time.

        Row i belongs to row i of `labels` (ORDER_SCHEMA). Where there is none, the lists are empty
        and the numbers 0.
        """
        before_ms = pc.subtract(labels["label_time_ms"], 1)
        entity_df = pd.DataFrame(
            {
                view.key: labels["user_id"].to_pandas(),
                "event_timestamp": pd.to_datetime(before_ms.to_numpy(), unit="ms", utc=True),
            }
        )
        joined = self._store.get_historical_features(entity_df, self._services[view]).to_arrow()
        return rows_known(view, labels, joined)


def warm_up() -> None:
    """Load the compiled loops of merging and writing, or the first events wait for them."""
    event = {
        "event_id": "e",
        "user_id": "u",
        "item_id": "i",
        "event_type": EventType.VIEW.value,
        "event_time_ms": 1,
        "value": None,
    }
    state = SequenceState()
    state.merge(pa.Table.from_pylist([event], schema=EVENT_SCHEMA))
    rows = encode_rows(SEQUENCES, checked(SEQUENCES, state.rows()))
    texts = version_texts(rows.event_times_us, rows.revisions)
    pass_guard(rows, stored_versions([(text, b"") for text in texts.to_pylist()]))
    commands([b"HSET", rows.entity_keys, b"version", texts])
