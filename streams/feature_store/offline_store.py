"""A Feast offline store over Delta tables, with an exact point-in-time join.

Feast 0.67's own file stores do not fit. The dask store loses rows. The Ray store floors all times
to seconds (so a label meets what happened later in its second), ignores the created timestamp,
drops label rows that share key and time, and from 100 MB on looks only for features within the hour
of the label. This one is DuckDB's ASOF JOIN (`streams.offline.point_in_time`) for the views whose
past is kept; what follows from the events is computed from them (`streams.offline.events`).

Select it in `feature_store.yaml` as `streams.feature_store.offline_store.DeltaOfflineStore`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from feast.types import from_feast_to_pyarrow_type

from reaseq.events import MAX_EVENT_TIME_MS
from reaseq.feature_views import SEQUENCES, VIEWS, ViewSpec
from reaseq.types import Column
from streams.feature_store.repository import table_uri
from streams.feature_store.retrieval import ArrowRetrievalJob
from streams.feature_store.views import MICROSECONDS, offline_rows, offline_schema
from streams.offline.events import EVENTS_TABLE, EventArchive
from streams.offline.point_in_time import EVENT_TIMESTAMP, rows_as_of
from streams.offline.queries import LIMITS, QueryLimits
from streams.offline.tables import APPEND_COLUMNS, Commit, OfflineTable, new_run


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """The `offline_store` section of `feature_store.yaml`; Feast finds it by name."""

    type: Literal["streams.feature_store.offline_store.DeltaOfflineStore"] = (
        "streams.feature_store.offline_store.DeltaOfflineStore"
    )
    max_memory: str = LIMITS.max_memory
    """What a join may hold before it goes on in temporary files, e.g. 8GB."""
    num_threads: int = LIMITS.num_threads
    tables: str | None = None
    """Where the tables lie if not in the home: a folder, or s3://bucket/prefix."""
    max_sequence_events: int = 100
    """How long a user sequence is at most."""


class DeltaOfflineStore(OfflineStore):
    """Offline rows of views with one join key, in `FileSource` paths that are Delta tables."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """Every row of `entity_df`, in its order, with the features that were true at its time.

        Where nothing was known yet the features are null. Raises ValueError without a frame.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise ValueError("pass entity_df as a pandas DataFrame with event_timestamp and keys")
        asked = pa.Table.from_pandas(entity_df, preserve_index=False)

        def join() -> pa.Table:
            joined = asked
            for view in feature_views:
                prefix = f"{view.projection.name_to_use()}:"
                names = [r.removeprefix(prefix) for r in feature_refs if r.startswith(prefix)]
                found = _features_as_of(config, view, names, asked)
                for name in names:
                    shown = f"{prefix[:-1]}__{name}" if full_feature_names else name
                    joined = joined.append_column(shown, found[name])
            return joined

        return ArrowRetrievalJob(join, RetrievalMetadata(feature_refs, list(entity_df.columns)))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows within `[start_date, end_date]`, for `feast materialize`."""
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]
        columns += [created_timestamp_column] if created_timestamp_column else []

        def rows() -> pa.Table:
            if (view := _computed(data_source)) is not None:
                return _sequences_within(config, view, start_date, end_date).select(columns)
            time, within = ds.field(timestamp_field), ds.scalar(True)
            if start_date:
                within &= time >= pa.scalar(start_date)
            if end_date:
                within &= time <= pa.scalar(end_date)
            return _table(config, data_source).read(columns, within)

        return ArrowRetrievalJob(rows, None)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns that a frame to push has; those that name an append are the table's own."""
        if (view := _computed(data_source)) is not None:
            return [(field.name, str(field.type)) for field in offline_schema(view)]
        schema = _table(config, data_source).schema
        own = {field.name for field in APPEND_COLUMNS}
        return [(field.name, str(field.type)) for field in schema if field.name not in own]

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append `table` under a commit of its own (`store.push`, offline writes).

        Raises ValueError for a view that is computed.
        """
        if _computed(feature_view.batch_source) is not None:
            raise ValueError(
                f"{feature_view.name} follows from the events: push it online only, or send events"
            )
        commit = Commit(new_run("push"))
        _table(config, feature_view.batch_source).append(table, commit)
        if progress:
            progress(table.num_rows)


def _table(config: RepoConfig, source: DataSource | None) -> OfflineTable:
    return OfflineTable(_uri(config, _name(source)))


def _uri(config: RepoConfig, name: str) -> str:
    return str(table_uri(Path(config.repo_path or "."), config.offline_store.tables, name))


def _name(source: DataSource | None) -> str:
    if not isinstance(source, FileSource):
        name = source.name if source else "none"
        raise ValueError(f"source {name}: the Delta offline store reads FileSource only")
    return PurePosixPath(source.path).name


def _computed(source: DataSource | None) -> ViewSpec | None:
    """The view of a source whose past follows from the events, None for one that is kept."""
    name = _name(source)
    return next((view for view in VIEWS if view.is_computed and view.name == name), None)


def _limits(config: RepoConfig) -> QueryLimits:
    return QueryLimits(config.offline_store.max_memory, config.offline_store.num_threads)


def _archive(config: RepoConfig) -> EventArchive:
    return EventArchive(_uri(config, EVENTS_TABLE), _limits(config))


def _sequences_as_of(config: RepoConfig, names: list[str], asked: pa.Table) -> pa.Table:
    """The user sequences at the times asked for, null where there was none.

    Known are the events up to a time. Asked for the millisecond before an order, they are those
    that had arrived before the order, too.
    """
    next_ms = np.asarray(_microseconds(asked[EVENT_TIMESTAMP])) // 1000 + 1
    labels = pa.table({SEQUENCES.key: asked[SEQUENCES.key], "label_time_ms": next_ms})
    found = _archive(config).sequences_before(labels, config.offline_store.max_sequence_events)
    is_known = pc.greater(found["revision"], 0)
    columns = [pc.if_else(is_known, found[n], pa.scalar(None, found[n].type)) for n in names]
    return pa.table(columns, names)


def _sequences_within(
    config: RepoConfig, view: ViewSpec, start: datetime | None, end: datetime | None
) -> pa.Table:
    """Everybody's newest sequence that became true within `[start, end]`."""
    end_ms = MAX_EVENT_TIME_MS if end is None else int(end.timestamp() * 1000) + 1
    rows = _archive(config).sequences(config.offline_store.max_sequence_events, end_ms)
    rows = offline_rows(view, rows)
    return rows if start is None else rows.filter(ds.field(EVENT_TIMESTAMP) >= pa.scalar(start))


def _features_as_of(
    config: RepoConfig, view: FeatureView, names: list[str], asked: pa.Table
) -> pa.Table:
    """The features `names` of `view`, one row for each asked, null where nothing was known."""
    source = view.batch_source
    if source is None or len(view.join_keys) != 1 or source.field_mapping:
        raise ValueError(
            f"view {view.name}: a source with one join key and no field mapping is supported"
        )
    if _computed(source) is not None:
        return _sequences_as_of(config, names, asked)
    types = {f.name: from_feast_to_pyarrow_type(f.dtype) for f in view.features}
    return rows_as_of(
        _table(config, source),
        view.join_keys[0],
        asked[view.join_keys[0]],
        _microseconds(asked[EVENT_TIMESTAMP]),
        pa.schema([(name, types[name]) for name in names]),
        time=source.timestamp_field,
        created=source.created_timestamp_column,
        max_age_us=int(view.ttl.total_seconds() * 1e6) if view.ttl else 0,
        limits=_limits(config),
    )


def _microseconds(column: Column) -> Column:
    return column.cast(MICROSECONDS, safe=False).cast(pa.int64())
