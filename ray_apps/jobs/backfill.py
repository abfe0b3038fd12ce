"""The backfill as a Ray Data job: Parquet in, users hashed into parts, one merge a part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from ray_apps.runtime.feature_store import erased_users, event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from streams.backfill import backfill, check_times
from streams.feature_store.features import Features
from streams.log.partitioner import partitions_of
from streams.offline.tables import Commit, new_run

_PARTITION = "backfill_partition"

_CPUS = 2
"""Logical CPUs of one merge. Each starts a process that imports Feast: few at a time is faster."""


def backfill_events(
    settings: Settings,
    events: Path,
    progress: Callable[[int], None] = lambda num_events: None,
) -> int:
    """Write the history in Parquet (EVENT_SCHEMA) to the features; return the number of users.

    Ray must be initialised and the feature store applied. `progress` is called with how many more
    events are done. A backfill repeated leaves the same features; offline, equal rows are there
    twice. Raises InputError before anything is written when an event time is not believed.
    """
    check_times(events, settings.kafka.event_times, time.time_ns() // 1_000_000)
    num_partitions = settings.kafka.num_partitions
    run = new_run("backfill")

    # Ray's types ask for functions of every batch format; these two get pyarrow's.
    def with_partition(table: Any) -> Any:
        return table.append_column(_PARTITION, partitions_of(table["user_id"], num_partitions))

    def merge_partition(table: Any) -> Any:
        number = table[_PARTITION][0].as_py()
        (erased := erased_users(settings)).refresh()
        num_users = backfill(
            table,
            Features.open(Home(settings.home).features),
            event_archive(settings),
            settings.stream.max_sequence_events,
            Commit(f"{run}-{number}"),
            erased,
        )
        return pa.table({"num_users": [num_users], "num_events": [table.num_rows]})

    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = (
        ray.data.read_parquet(str(events))
        .map_batches(with_partition, batch_format="pyarrow")
        .groupby(_PARTITION, num_partitions=num_partitions)
        .map_groups(merge_partition, batch_format="pyarrow", num_cpus=_CPUS)
    )
    num_users = 0
    for row in dataset.iter_rows():
        num_users += row["num_users"]
        progress(row["num_events"])
    return num_users
