"""What the feature store holds, as Feast sees it: made from `reaseq.feature_views.VIEWS`.

Feast tells objects apart by identity, so this file is reached through the one import path
`feature_repo.definitions`: `Features.apply` imports it, and the `definitions.py` that it leaves in
a Feast home re-exports it to the `feast` command line.

The offline source of a view is a Delta table, relative to the Feast home. Its `created` column is
the event time plus the row's revision in microseconds: among the rows of one key and event time the
highest revision is the true one. No view has a time to live (`ttl` zero): a user sequence stays
true until its user acts again, even when that takes a year.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Array, FeastType, Float64, Int64, String

from reaseq.feature_views import VIEWS, ViewSpec

FEAST_TYPES: dict[pa.DataType, FeastType] = {
    pa.string(): String,
    pa.int64(): Int64,
    pa.float64(): Float64,
    pa.list_(pa.string()): Array(String),
    pa.list_(pa.int64()): Array(Int64),
    pa.list_(pa.float64()): Array(Float64),
}

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

ENTITIES = {"user_id": user, "item_id": item}


def push_source(spec: ViewSpec) -> PushSource:
    """Where `feast` pushes rows of a view, and the table they are kept in."""
    table = FileSource(
        name=f"{spec.name}_table",
        path=f"data/{spec.name}",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    return PushSource(name=f"{spec.name}_push", batch_source=table)


def feature_view(spec: ViewSpec) -> FeatureView:
    """A view with every column of its schema."""
    return FeatureView(
        name=spec.name,
        entities=[ENTITIES[spec.key]],
        ttl=timedelta(0),
        schema=[Field(name=column.name, dtype=FEAST_TYPES[column.type]) for column in spec.schema],
        source=push_source(spec),
        description=spec.description,
        tags={"origin": "generated"} if spec.is_generated else {},
    )


views = [feature_view(spec) for spec in VIEWS]

services = [
    FeatureService(name=spec.service, features=[view], description=spec.description)
    for spec, view in zip(VIEWS, views, strict=True)
]
