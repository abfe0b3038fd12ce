"""The single source of column names and types for every table that crosses a boundary."""

from __future__ import annotations

import pyarrow as pa

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("event_time_ms", pa.int64(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""One row per event; see `reaseq.events.Event` for the meaning of each column."""

ITEM_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("description", pa.string()),
        pa.field("event_time_ms", pa.int64(), nullable=False),
    ]
)
"""One row per item description; see `reaseq.events.Item`."""

SEQUENCE_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_ids", pa.list_(pa.string()), nullable=False),
        pa.field("event_types", pa.list_(pa.string()), nullable=False),
        pa.field("event_times_ms", pa.list_(pa.int64()), nullable=False),
        pa.field("event_values", pa.list_(pa.float64()), nullable=False),
        pa.field("event_keys", pa.list_(pa.int64()), nullable=False),
        pa.field("newest_event_time_ms", pa.int64(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
    ]
)
"""One row per user sequence: the newest N distinct events, oldest first.

The lists of a row have one length. `event_keys` holds the 64-bit hash of each event id.
`(newest_event_time_ms, revision)` only grows for a user, so it orders all versions of a row.
"""

ORDER_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("label_time_ms", pa.int64(), nullable=False),
        pa.field("label_item_ids", pa.list_(pa.string()), nullable=False),
    ]
)
"""One row per order: what one user bought at one moment, the labels of one ranking."""

TRAINING_SCHEMA = pa.schema(
    [*SEQUENCE_SCHEMA, ORDER_SCHEMA.field("label_time_ms"), ORDER_SCHEMA.field("label_item_ids")]
)
"""One row per order with the user sequence as it was just before it."""

POPULARITY_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("num_purchases", pa.int64(), nullable=False),
        pa.field("num_buyers", pa.int64(), nullable=False),
        pa.field("event_time_ms", pa.int64(), nullable=False),
    ]
)
"""One row per item: how often it was bought, and by how many users, up to `event_time_ms`."""

GENERATED_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_ids", pa.list_(pa.string()), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64()), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("generated_at_ms", pa.int64(), nullable=False),
        pa.field("partition", pa.int64(), nullable=False),
        pa.field("next_offset", pa.int64(), nullable=False),
        pa.field("newest_event_time_ms", pa.int64(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
    ]
)
"""One row per user: generated behaviours, most probable first.

They were generated for the version `(newest_event_time_ms, revision)` of the user's sequence, which
had taken in every record of `partition` before `next_offset` (-1 and 0: not from the log).
"""

GENERATED_ITEM_IDS = "generated_item_ids"
GENERATED_PROBABILITIES = "generated_probabilities"
"""The columns in which generated behaviours stand beside a user sequence (`with_generated`)."""

KNOWLEDGE_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("what", pa.string(), nullable=False),
        pa.field("who", pa.string(), nullable=False),
        pa.field("when", pa.string(), nullable=False),
        pa.field("where", pa.string(), nullable=False),
        pa.field("why", pa.string(), nullable=False),
        pa.field("with_what", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("prompt_version", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("num_prompt_tokens", pa.int64(), nullable=False),
        pa.field("num_tokens", pa.int64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("event_time_ms", pa.int64(), nullable=False),
    ]
)
"""One row per item: what an agent says about it, accepted or rejected, with its provenance."""
