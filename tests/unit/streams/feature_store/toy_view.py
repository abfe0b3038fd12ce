"""One more feature view, end to end: what a person adds is the row, the rest follows.

    python -m tests.unit.streams.feature_store.toy_view HOME

A process of its own, because every module takes the views as they are when it is imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow as pa

from reaseq import feature_views
from reaseq.feature_views import ViewSpec

DEMAND = ViewSpec(
    name="item_demand",
    service="demand_v1",
    schema=pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("views_by_day", pa.list_(pa.int64()), nullable=False),
            pa.field("share", pa.float64()),
            pa.field("event_time_ms", pa.int64(), nullable=False),
        ]
    ),
    key="item_id",
    time="event_time_ms",
    description="How often an item was looked at.",
)

feature_views.VIEWS = (*feature_views.VIEWS, DEMAND)


def rows(*made: tuple[str, list[int], int]) -> pa.Table:
    """(item, views by day, time) each."""
    names = ("item_id", "views_by_day", "event_time_ms")
    records = [{**dict(zip(names, one, strict=True)), "share": 0.5} for one in made]
    return pa.Table.from_pylist(records, schema=DEMAND.schema)


def main(home: Path) -> None:
    """Apply, write, read, append, join: on the real store."""
    from streams.feature_store.features import Features
    from streams.offline.tables import Commit

    Features.apply(home)
    features = Features.open(home)
    assert features.write(DEMAND, rows(("tea", [1, 2], 10), ("cup", [], 10))) == 2
    assert features.write(DEMAND, rows(("tea", [9], 5))) == 0, "it never goes back"
    read = features.read(DEMAND, ["tea", "pot", "cup"])
    assert read.sort_by("item_id").equals(rows(("cup", [], 10), ("tea", [1, 2], 10))), read
    features.append(DEMAND, rows(("tea", [1], 1), ("tea", [1, 2], 2), ("cup", [3], 1)), Commit("a"))
    features.append(DEMAND, rows(("tea", [7], 9)), Commit("a"))
    assert features.newest(DEMAND).equals(rows(("cup", [3], 1), ("tea", [1, 2], 2)))
    assert features.keys(DEMAND) == ["cup", "tea"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # Without the interpreter's own end, at which a thread of DuckDB or Arrow that is still busy
    # aborts the process now and then: everything has been shown by here.
    os._exit(0)
