"""The feature store behind a small face of our own: Arrow tables in, Arrow tables out.

`Features.apply(home)` once in the driver, then `Features.open(home)` wherever features are written
or read: a Ray actor, a Serve replica, a job. An opened one is safe to share among threads; it does
not travel between processes, so send the home instead. Importing Feast takes seconds: do it when an
actor starts, not in the path of a request.

Online writes keep the order of a row, `(event time, revision)`, and refuse to go back; see
`streams.feature_store.guard`. Online reads and the point-in-time join go through Feast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretStr

from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.state import SequenceState
from streams.feature_store.guard import GuardedOnlineStore
from streams.feature_store.repository import OnlineStoreName, apply_definitions, open_store
from streams.feature_store.views import (
    GENERATED,
    ITEMS,
    KNOWLEDGE,
    POPULARITY,
    SEQUENCES,
    View,
)
from streams.offline.parts import parts

if TYPE_CHECKING:
    from feast import FeatureStore


class Features:
    """The feature store of one home. Make one with `open`."""

    def __init__(self, home: Path, store: FeatureStore, online: GuardedOnlineStore) -> None:
        self.home = home
        self._store = store
        self._online = online
        views = (SEQUENCES, GENERATED, ITEMS, KNOWLEDGE, POPULARITY)
        # Looked up once: a look-up in the registry costs more than the read itself.
        self._views = {v: store.get_feature_view(v.name) for v in views}
        self._services = {v: store.get_feature_service(v.service) for v in views}

    @staticmethod
    def apply(
        home: Path, online: OnlineStoreName = "sqlite", redis_url: SecretStr | None = None
    ) -> bool:
        """Make `home` a feature store, or bring it up to date; False when it was already.

        Once, in the driver, before others open the home. Takes 0.1 s, or 1 ms without a change.
        `redis_url` goes with `online="redis"`; raises OnlineStoreError when it does not answer.
        """
        return apply_definitions(Path(home), online, redis_url)

    @classmethod
    def open(cls, home: Path) -> Features:
        """The feature store in an applied `home`; raises ValueError when it was not applied."""
        return cls(Path(home), *open_store(Path(home)))

    @property
    def num_refused(self) -> int:
        """Rows that this object was given to write online and that were older than the stored."""
        return self._online.num_refused

    def write_sequences(self, rows: pa.Table) -> int:
        """Write user sequences (SEQUENCE_SCHEMA) online; return how many were accepted.

        One transaction in SQLite, row by row in Redis. A row is refused when the stored one has a
        greater `(newest_event_time_ms, revision)`. Raises ValueError for a column missing or
        mistyped.
        """
        return self._write(SEQUENCES, rows)

    def read_sequences(self, user_ids: list[str]) -> pa.Table:
        """The user sequences of those users that have one (SEQUENCE_SCHEMA), each once."""
        return self._read(SEQUENCES, user_ids)

    def append_sequences(self, snapshots: pa.Table, part: str) -> Path:
        """Write snapshots of user sequences offline as the part `part`.

        The part appears whole; writing the same name again replaces it, so replays are harmless.
        """
        return self._append(SEQUENCES, snapshots, part)

    def users(self) -> list[str]:
        """Every user who has a sequence, from the offline store."""
        read = [part.read(["user_id"]) for part in parts(self.home / "data" / SEQUENCES.name)]
        users = [table["user_id"].unique().to_pylist() for table in read]
        return sorted({user_id for of_part in users for user_id in of_part})

    def write_items(self, rows: pa.Table) -> int:
        """Write item descriptions (ITEM_SCHEMA) online; the newest wins. See `write_sequences`."""
        return self._write(ITEMS, rows)

    def read_items(self, item_ids: list[str]) -> pa.Table:
        """The descriptions of those items that have one (ITEM_SCHEMA)."""
        return self._read(ITEMS, item_ids)

    def append_items(self, rows: pa.Table, part: str) -> Path:
        """Write item descriptions offline. See `append_sequences`."""
        return self._append(ITEMS, rows, part)

    def catalogue(self) -> pa.Table:
        """Every item there is, from the offline store: its newest description (ITEM_SCHEMA)."""
        return self._newest(ITEMS)

    def write_knowledge(self, rows: pa.Table) -> int:
        """Write what agents found out about items (KNOWLEDGE_SCHEMA) online; the newest wins."""
        return self._write(KNOWLEDGE, rows)

    def read_knowledge(self, item_ids: list[str]) -> pa.Table:
        """What is known of those items of which something is (KNOWLEDGE_SCHEMA)."""
        return self._read(KNOWLEDGE, item_ids)

    def append_knowledge(self, rows: pa.Table, part: str) -> Path:
        """Write knowledge offline. See `append_sequences`."""
        return self._append(KNOWLEDGE, rows, part)

    def knowledge(self) -> pa.Table:
        """The newest knowledge of every item, from the offline store (KNOWLEDGE_SCHEMA)."""
        return self._newest(KNOWLEDGE)

    def write_generated(self, rows: pa.Table) -> int:
        """Write generated behaviours (GENERATED_SCHEMA) online; return how many were accepted.

        A row is refused when the stored one has a greater
        `(newest_event_time_ms, generated_at_ms)`.
        """
        return self._write(GENERATED, rows)

    def read_generated(self, user_ids: list[str]) -> pa.Table:
        """The generated behaviours of those users that have any (GENERATED_SCHEMA), each once."""
        return self._read(GENERATED, user_ids)

    def append_generated(self, rows: pa.Table, part: str) -> Path:
        """Write generated behaviours offline. See `append_sequences`."""
        return self._append(GENERATED, rows, part)

    def write_popularity(self, rows: pa.Table) -> int:
        """Write popularities (POPULARITY_SCHEMA) online; the newest wins."""
        return self._write(POPULARITY, rows)

    def read_popularity(self, item_ids: list[str]) -> pa.Table:
        """The popularities of those items that have one (POPULARITY_SCHEMA)."""
        return self._read(POPULARITY, item_ids)

    def append_popularity(self, rows: pa.Table, part: str) -> Path:
        """Write popularities offline. See `append_sequences`."""
        return self._append(POPULARITY, rows, part)

    def training_rows(self, labels: pa.Table) -> pa.Table:
        """Each order (ORDER_SCHEMA) with the user sequence strictly before it (TRAINING_SCHEMA).

        Every label row comes back once, in its place, equal ones too. The sequence is the snapshot
        of greatest `(newest_event_time_ms, revision)` whose newest event is before `label_time_ms`.
        Where there is none, the lists are empty and `newest_event_time_ms` and `revision` are 0, a
        revision that no written row should have.
        """
        labels = labels.select(ORDER_SCHEMA.names).cast(ORDER_SCHEMA)
        known = self._before(SEQUENCES, labels)
        columns = {name: known[name] for name in SEQUENCE_SCHEMA.names}
        columns |= {name: labels[name] for name in ("label_time_ms", "label_item_ids")}
        return pa.table([columns[name] for name in TRAINING_SCHEMA.names], TRAINING_SCHEMA)

    def generated_rows(self, labels: pa.Table) -> pa.Table:
        """The generated behaviours (GENERATED_SCHEMA) on file for each order just before it.

        Row i belongs to row i of `labels` (ORDER_SCHEMA). What it rests on is older than the order;
        where there is nothing, the lists are empty and the numbers 0.
        """
        return self._before(GENERATED, labels.select(ORDER_SCHEMA.names).cast(ORDER_SCHEMA))

    def _before(self, view: View, labels: pa.Table) -> pa.Table:
        """The row of `view` for each order, whose time is strictly before the order's."""
        before_ms = pc.subtract(labels["label_time_ms"], 1)
        questions = pd.DataFrame(
            {
                "user_id": labels["user_id"].to_pandas(),
                "event_timestamp": pd.to_datetime(before_ms.to_numpy(), unit="ms", utc=True),
            }
        )
        job = self._store.get_historical_features(questions, self._services[view])
        joined = job.to_arrow()
        known = {name: view.without_nulls(name, joined[name]) for name in view.features}
        columns = {view.key: labels[view.key], **known}
        return pa.table([columns[name] for name in view.schema.names], view.schema)

    def _newest(self, view: View) -> pa.Table:
        """The newest row of each key of `view`, from the offline store."""
        read = [part.read(view.schema.names) for part in parts(self.home / "data" / view.name)]
        rows = pa.concat_tables([view.schema.empty_table(), *read]).cast(view.schema)
        rows = rows.sort_by([(view.key, "ascending"), (view.time, "ascending")])
        keys = rows[view.key].combine_chunks()
        last = pc.not_equal(keys[:-1], keys[1:]) if len(keys) > 1 else pa.array([], pa.bool_())
        return rows.filter(pa.concat_arrays([last, pa.repeat(True, min(len(keys), 1))]))

    def _write(self, view: View, rows: pa.Table) -> int:
        if rows.num_rows == 0:
            return 0
        encoded = view.encode(view.checked(rows))
        return self._online.write_rows(self._store.config, self._views[view], encoded)

    def _read(self, view: View, ids: list[str]) -> pa.Table:
        if not ids:
            return view.schema.empty_table()
        asked = {view.key: list(dict.fromkeys(ids))}
        response = self._store.get_online_features(self._services[view], entity_rows=asked)
        return view.found(response.to_dict())

    def _append(self, view: View, rows: pa.Table, part: str) -> Path:
        return view.write_part(self.home, part, view.checked(rows))


def warm_up() -> None:
    """Load the compiled loops of merging and encoding, or the first events wait for them."""
    event = {
        "event_id": "e",
        "user_id": "u",
        "item_id": "i",
        "event_type": EventType.VIEW.value,
        "event_time_ms": 1,
        "value": None,
    }
    state = SequenceState()
    merged = state.merge(pa.Table.from_pylist([event], schema=EVENT_SCHEMA), keep_history=True)
    SEQUENCES.encode(SEQUENCES.checked(merged.changed))
