"""The features of one user as a recommendation needs them, whatever of them can be read."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import pyarrow as pa

from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.schemas import GENERATED_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import with_generated
from streams.feature_store.ports import FeatureTables

logger = logging.getLogger("ray.serve")

FEATURES_UNAVAILABLE = "features_unavailable"
"""Missing: the online store did not answer, so the user is treated as unknown."""

GENERATED_UNAVAILABLE = "generated_unavailable"
"""Missing: generated behaviours could not be read."""


class UserRow(NamedTuple):
    """The user's sequence joined to generated behaviours: one row, or none for a stranger."""

    sequence: pa.Table
    missing: tuple[str, ...] = ()
    """What could not be read, by name."""

    def to_dict(self) -> dict[str, Any] | None:
        """The row as it is logged with what was shown; None for a stranger."""
        return self.sequence.to_pylist()[0] if self.sequence.num_rows else None


def read_user(features: FeatureTables, user_id: str) -> UserRow:
    """Read the user's features; raises nothing, because a part that fails must fail no request."""
    nothing = GENERATED_SCHEMA.empty_table()
    try:
        sequence = features.read(SEQUENCES, [user_id])
    except Exception:
        logger.exception("the features cannot be read: recommending without")
        stranger = with_generated(SEQUENCE_SCHEMA.empty_table(), nothing)
        return UserRow(stranger, (FEATURES_UNAVAILABLE,))
    try:
        return UserRow(with_generated(sequence, features.read(GENERATED, [user_id])))
    except Exception:  # noqa: BLE001 - a recommendation never fails because a part did
        return UserRow(with_generated(sequence, nothing), (GENERATED_UNAVAILABLE,))
