"""Events and items from a table into the log, as their sources would have sent them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from streams.log.codec import Codec
from streams.log.ports import LogWriter

FLUSH_EVERY = 10_000
"""Records sent between two waits for the log, so that a failure shows soon."""


def replay(
    rows: pa.Table,
    key: str,
    topic: str,
    codec: Codec[Any],
    writer: LogWriter,
    progress: Callable[[int], None] = lambda num_sent: None,
) -> int:
    """Send every row (EVENT_SCHEMA or ITEM_SCHEMA) in order, keyed by the column `key`.

    The key decides the partition, and a user lives in one: events are keyed by `user_id`.
    Returns the number sent, all acknowledged.
    """
    keys = rows[key].to_pylist()
    for number, value in enumerate(codec.encode_rows(rows), start=1):
        writer.send(topic, value, keys[number - 1].encode())
        if number % FLUSH_EVERY == 0:
            writer.flush()
            progress(FLUSH_EVERY)
    writer.flush()
    progress(rows.num_rows % FLUSH_EVERY)
    return int(rows.num_rows)
