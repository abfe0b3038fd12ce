"""A Feast offline store over folders of Parquet parts, with an exact point-in-time join.

Feast 0.67's own file stores do not fit. The dask store loses rows. The Ray store floors all times
to seconds (so a label meets what happened later in its second), ignores the created timestamp,
drops label rows that share key and time, and from 100 MB on looks only for features within the hour
of the label. This one does one sort (`rows_as_of`) over the key columns and then takes of each part
only the rows that were found.

Select it in `feature_store.yaml` as
`streams.feature_store.offline_store.ParquetFolderOfflineStore`. Folders are local or mounted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from feast.types import from_feast_to_pyarrow_type

from reaseq.types import Int64s
from streams.feature_store.retrieval import ArrowRetrievalJob
from streams.offline.parts import Part, parts, write_part
from streams.offline.point_in_time import rows_as_of

EVENT_TIMESTAMP = "event_timestamp"
MICROSECONDS = pa.timestamp("us", "UTC")

MAX_ROWS_A_CHUNK = 50_000
"""Rows gathered into one Arrow chunk: 100-long lists of strings stay far below Arrow's 2 GiB."""


class ParquetFolderOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The `offline_store` section of `feature_store.yaml`; Feast finds it by name."""

    type: Literal["streams.feature_store.offline_store.ParquetFolderOfflineStore"] = (
        "streams.feature_store.offline_store.ParquetFolderOfflineStore"
    )


class ParquetFolderOfflineStore(OfflineStore):  # type: ignore[misc]
    """Offline rows of views with one join key, in `FileSource` folders."""

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
        questions = pa.Table.from_pandas(entity_df, preserve_index=False)

        def join() -> pa.Table:
            joined = questions
            for view in feature_views:
                prefix = f"{view.projection.name_to_use()}:"
                names = [r.removeprefix(prefix) for r in feature_refs if r.startswith(prefix)]
                found = _features_as_of(config, view, names, questions)
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
            tables = [part.read(columns) for part in parts(_folder(config, data_source))]
            tables = tables or [pa.table({column: pa.nulls(0) for column in columns})]
            # Parts that came through a data frame may have nanoseconds where ours have micro.
            table = pa.concat_tables(tables, promote_options="permissive")
            if start_date:
                table = table.filter(pc.field(timestamp_field) >= pa.scalar(start_date))
            if end_date:
                table = table.filter(pc.field(timestamp_field) <= pa.scalar(end_date))
            return table

        return ArrowRetrievalJob(rows, None)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append `table` as a part with a name of its own (`store.push`, offline writes)."""
        write_part(_folder(config, feature_view.batch_source), f"push-{uuid.uuid4().hex}", table)
        if progress:
            progress(table.num_rows)


def _folder(config: RepoConfig, source: DataSource) -> Path:
    if not isinstance(source, FileSource):
        raise ValueError(f"source {source.name}: the Parquet folder store reads FileSource only")
    return Path(FileSource.get_uri_for_file_path(config.repo_path, source.path))


def _features_as_of(
    config: RepoConfig, view: FeatureView, names: list[str], questions: pa.Table
) -> pa.Table:
    """The features `names` of `view`, one row a question, null where nothing was known."""
    source = view.batch_source
    if len(view.join_keys) != 1 or source.field_mapping:
        raise ValueError(f"view {view.name}: only one join key and no field mapping are supported")
    key = view.join_keys[0]
    sources = parts(_folder(config, source))
    index = [key, source.timestamp_field, source.created_timestamp_column]
    tables = [part.read(index) for part in sources]
    starts = np.concatenate([[0], np.cumsum([t.num_rows for t in tables])]).astype(np.int64)
    asked = questions[key].combine_chunks()
    known = asked.unique()
    rows = rows_as_of(
        _concatenated([_codes(t[key], known) for t in tables]),
        _concatenated([_microseconds(t[index[1]]) for t in tables]),
        _concatenated([_microseconds(t[index[2]]) for t in tables]),
        _codes(asked, known),
        _microseconds(questions[EVENT_TIMESTAMP]),
        max_age=int(view.ttl.total_seconds() * 1e6) if view.ttl else 0,
    )
    types = {f.name: from_feast_to_pyarrow_type(f.dtype) for f in view.features}
    schema = pa.schema([(name, types[name]) for name in names])
    return _gather(sources, starts, rows, schema)


def _gather(sources: list[Part], starts: Int64s, rows: Int64s, schema: pa.Schema) -> pa.Table:
    """The rows of all parts at the global indices `rows` (-1 for a row of nulls)."""
    wanted = np.unique(rows[rows >= 0])
    bounds = np.searchsorted(wanted, starts)
    pieces = [schema.empty_table()]
    for part, start, low, high in zip(sources, starts, bounds, bounds[1:], strict=False):
        if low < high:
            rows_of_part = part.read(schema.names).cast(schema)
            pieces.append(rows_of_part.take(wanted[low:high] - start))
    found = pa.concat_tables(pieces)
    places = pa.array(np.searchsorted(wanted, rows), mask=rows < 0)
    chunks = [
        found.take(places.slice(low, MAX_ROWS_A_CHUNK))
        for low in range(0, len(places), MAX_ROWS_A_CHUNK)
    ]
    return pa.concat_tables(chunks or [schema.empty_table()])


def _codes(column: pa.Array | pa.ChunkedArray, known: pa.Array) -> Int64s:
    """Positions in `known`; -1 for others, which no question asks for."""
    codes = pc.index_in(column, value_set=known).fill_null(-1)
    return np.asarray(codes).astype(np.int64)


def _microseconds(column: pa.Array | pa.ChunkedArray) -> Int64s:
    return np.asarray(column.cast(MICROSECONDS, safe=False).cast(pa.int64()))


def _concatenated(columns: list[Int64s]) -> Int64s:
    return np.concatenate([np.zeros(0, np.int64), *columns])
