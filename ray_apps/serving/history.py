"""The events that are kept, as those see them who only read them."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class EventHistory(Protocol):
    """All events that the shards have taken in; `EventArchive` in production."""

    def read(self) -> pa.Table:
        """Distinct events (EVENT_SCHEMA), by time."""
