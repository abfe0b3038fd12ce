"""A small world of purchases: after i0 come i1, i2, i3; after i4 come i5, i6, i7."""

from __future__ import annotations

import pyarrow as pa

from reaseq.generator.fit import fit
from reaseq.generator.model import DiffusionModel
from reaseq.generator.settings import GeneratorSettings
from reaseq.generator.targets import with_targets
from reaseq.schemas import SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.types import DAY_MS
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary([f"i{n}" for n in range(12)])
SETTINGS = GeneratorSettings(
    learning_rate=1e-2,
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    num_generated=3,
    num_epochs=200,
    dropout=0.0,
)


def row(user_id: str, items: list[str]) -> dict[str, object]:
    """A sequence of purchases, a day each."""
    times = [DAY_MS * (n + 1) for n in range(len(items))]
    return {
        "user_id": user_id,
        "item_ids": items,
        "event_types": ["purchase"] * len(items),
        "event_times_ms": times,
        "event_values": [1.0] * len(items),
        "event_keys": list(range(len(items))),
        "newest_event_time_ms": times[-1] if times else 0,
        "revision": len(items),
    }


def sequences(*items: list[str]) -> pa.Table:
    """One user a list."""
    rows = [row(f"u{n}", of_user) for n, of_user in enumerate(items)]
    return pa.Table.from_pylist(rows, schema=SEQUENCE_SCHEMA)


def training_rows() -> pa.Table:
    """A small world: after i0 come i1, i2, i3; after i4 come i5, i6, i7."""
    rows = [
        {**row(f"u{n}", [first]), "label_time_ms": 9 * DAY_MS, "label_item_ids": following}
        for n in range(8)
        for first, following in [("i0", ["i1", "i2", "i3"]), ("i4", ["i5", "i6", "i7"])]
    ]
    for n, one in enumerate(rows):
        one["user_id"] = f"u{n}"
    return pa.Table.from_pylist(rows, schema=TRAINING_SCHEMA)


def trained(**changes: object) -> DiffusionModel:
    settings = SETTINGS.model_copy(update=changes)
    return fit(with_targets(training_rows(), settings.num_generated), ITEMS, settings, seed=1)
