"""What the feature store holds: every entity, feature view and feature service, declared once.

Feast tells objects apart by identity, so this file is reached through the one import path
`feature_repo.definitions`: `streams.features.Features.apply` imports it, and the `definitions.py`
that it leaves in a Feast home re-exports it to the `feast` command line.

The offline source of a view is a folder of Parquet part files, relative to the Feast home. Its
`created` column is the event time plus the row's revision in microseconds: among the rows of one
key and event time the highest revision is the true one. No view has a time to live (`ttl` zero): a
user sequence stays true until its user acts again, even when that takes a year.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, FeastType, Float64, Int64, String

from reaseq.schemas import ITEM_SCHEMA, POPULARITY_SCHEMA, SEQUENCE_SCHEMA

FEAST_TYPES: dict[pa.DataType, FeastType] = {
    pa.string(): String,
    pa.int64(): Int64,
    pa.float64(): Float64,
    pa.list_(pa.string()): Array(String),
    pa.list_(pa.int64()): Array(Int64),
    pa.list_(pa.float64()): Array(Float64),
}


def fields(schema: pa.Schema, *, key: str) -> list[Field]:
    """The columns of `schema` as Feast fields, without its key."""
    return [Field(name=c.name, dtype=FEAST_TYPES[c.type]) for c in schema if c.name != key]


def part_files(view: str) -> FileSource:
    """The folder of Parquet part files behind a view."""
    return FileSource(
        name=f"{view}_parts",
        path=f"data/{view}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )


user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

user_sequence_push = PushSource(name="user_sequence_push", batch_source=part_files("user_sequence"))

user_sequence = FeatureView(
    name="user_sequence",
    entities=[user],
    ttl=timedelta(0),
    schema=[Field(name="user_id", dtype=String), *fields(SEQUENCE_SCHEMA, key="user_id")],
    source=user_sequence_push,
    description="The newest distinct events of a user, oldest first.",
)

item_catalogue = FeatureView(
    name="item_catalogue",
    entities=[item],
    ttl=timedelta(0),
    schema=[Field(name="item_id", dtype=String), *fields(ITEM_SCHEMA, key="item_id")],
    source=part_files("item_catalogue"),
    description="What an item is, as its shop describes it.",
)

item_popularity = FeatureView(
    name="item_popularity",
    entities=[item],
    ttl=timedelta(0),
    schema=[
        Field(name="item_id", dtype=String),
        *fields(POPULARITY_SCHEMA, key="item_id"),
    ],
    source=part_files("item_popularity"),
    description="How often an item was bought, and by how many users, up to `event_time_ms`.",
)

ranker_v1 = FeatureService(
    name="ranker_v1",
    features=[user_sequence],
    description="What the ranker reads about a user, online and in the point-in-time join.",
)
items_v1 = FeatureService(name="items_v1", features=[item_catalogue])
popularity_v1 = FeatureService(name="popularity_v1", features=[item_popularity])
