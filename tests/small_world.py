"""A world so small that it is known what there is to learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from reaseq.types import DAY_MS
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary([f"item-{i}" for i in range(12)])
TEXT = np.eye(12, dtype=np.float32)


def pairs_world(num_rows: int = 64) -> pa.Table:
    """Whoever bought item i last buys item i + 1 next; older events are noise."""
    random = np.random.default_rng(0)
    records = []
    for row in range(num_rows):
        items = [f"item-{i}" for i in random.integers(0, 12, 3)]
        at_ms = (100 + row) * DAY_MS
        newest = int(items[-1].removeprefix("item-"))
        records.append(
            {
                "user_id": f"u{row}",
                "item_ids": items,
                "event_types": ["purchase"] * 3,
                "event_times_ms": [at_ms - 40 * DAY_MS, at_ms - 40 * DAY_MS, at_ms - DAY_MS],
                "event_values": [1.0] * 3,
                "event_keys": [1, 2, 3],
                "newest_event_time_ms": at_ms - DAY_MS,
                "revision": 3,
                "label_time_ms": at_ms,
                "label_item_ids": [f"item-{(newest + 1) % 12}"],
            }
        )
    return pa.Table.from_pylist(records)
