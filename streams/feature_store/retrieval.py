"""The answer of an offline query, in the form in which Feast hands answers on."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
from feast import OnDemandFeatureView
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.saved_dataset import SavedDatasetStorage


class ArrowRetrievalJob(RetrievalJob):
    """A join that runs when its result is asked for."""

    def __init__(self, join: Callable[[], pa.Table], metadata: RetrievalMetadata | None) -> None:
        self._join = join
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Column names are final: the join has chosen them."""
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: transformations belong to the streams, not to the store."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for, where it was a point-in-time join."""
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._join()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._join().to_pandas()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Not offered; raises NotImplementedError."""
        raise NotImplementedError("write the table of to_arrow() where you want it")
