"""Generated behaviours as they are stored: a type of their own, never an event.

No log, sequence or count of what was bought may ever hold one: what a model infers is no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import GENERATED_SCHEMA
from reaseq.types import Column


def generated_rows(
    answer: pa.Table,
    sequences: pa.Table,
    *,
    model_version: str,
    generated_at_ms: int,
    positions: Sequence[tuple[int, int]],
) -> pa.Table:
    """The rows (GENERATED_SCHEMA) to store for an answer of `generate`; empty ones are left out.

    Row i of `answer` was generated for row i of `sequences`, which had taken in every record before
    the (partition, next offset) at i of `positions`. Raises ValueError when the rows do not belong
    together.
    """
    if answer["user_id"].to_pylist() != sequences["user_id"].to_pylist():
        raise ValueError("row i of the answer must have been generated for row i of the sequences")
    offsets = np.asarray(positions, np.int64).reshape(-1, 2)
    columns: dict[str, Column] = {
        "user_id": answer["user_id"],
        "item_ids": answer["item_ids"],
        "probabilities": answer["probabilities"],
        "model_version": pa.repeat(model_version, answer.num_rows),
        "generated_at_ms": pa.repeat(pa.scalar(generated_at_ms, pa.int64()), answer.num_rows),
        "partition": pa.array(offsets[:, 0]),
        "next_offset": pa.array(offsets[:, 1]),
        "newest_event_time_ms": sequences["newest_event_time_ms"],
        "revision": sequences["revision"],
    }
    rows = pa.table([columns[name] for name in GENERATED_SCHEMA.names], schema=GENERATED_SCHEMA)
    return rows.filter(pc.greater(pc.list_value_length(rows["item_ids"]), 0))
