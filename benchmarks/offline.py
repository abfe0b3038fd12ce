"""Delta tables against a folder of Parquet parts replaced by name, as ADR 0003 compares them.

    make bench-offline [ARGS="--rounds 5 --appends 200 --rows 500 --labels 20000"]

Both hold the same sequences of 100 events and the same archive of events, and take turns at each
stage: appending checkpoints, joining labels to what was known before them, reading all events each
once. The join's answers are compared before anything is printed. Times are of the wall clock, for
writing waits for the disk. The peer is the parts that this project had: no commit, no fsync, no
compaction; a ratio above 1 says that Delta is slower.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.report import say, write_results
from benchmarks.rounds import compare
from reaseq.feature_views import SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.types import Column, Int64s
from streams.feature_store.views import offline_rows, offline_schema
from streams.offline.events import EventArchive, as_history
from streams.offline.point_in_time import rows_as_of
from streams.offline.tables import Commit, OfflineTable

LENGTH = 100
NUM_USERS = 5000
NUM_ITEMS = 4000
TIMES_MS = (1_300_000_000_000, 1_330_000_000_000)
KNOWN = pa.schema([("item_ids", pa.list_(pa.string())), ("revision", pa.int64())])

Stage = dict[str, list[float]]


def sequences(rng: np.random.Generator, num_rows: int) -> pa.Table:
    """Snapshots of user sequences, every one full."""
    offsets = pa.array(np.arange(0, num_rows * LENGTH + 1, LENGTH, dtype=np.int32))
    times = np.sort(rng.integers(*TIMES_MS, (num_rows, LENGTH)), axis=1)
    flat = (
        names("item", rng.integers(0, NUM_ITEMS, num_rows * LENGTH)),
        pa.array(["view", "purchase"]).take(pa.array(rng.integers(0, 2, num_rows * LENGTH))),
        pa.array(times.ravel()),
        pa.array(rng.random(num_rows * LENGTH).round(2)),
        pa.array(rng.integers(-(2**62), 2**62, num_rows * LENGTH)),
    )
    lists = [pa.ListArray.from_arrays(offsets, column) for column in flat]
    users = names("user", rng.integers(0, NUM_USERS, num_rows))
    revisions = pa.array(rng.integers(1, 1000, num_rows))
    return pa.table([users, *lists, pa.array(times[:, -1]), revisions], SEQUENCE_SCHEMA)


def events(rng: np.random.Generator, num_rows: int) -> pa.Table:
    """Events of a shop, distinct but for one in fifty."""
    numbers = np.arange(num_rows) - (np.arange(num_rows) % 50 == 49)
    users = names("user", numbers * 7919 % NUM_USERS)
    items = names("item", numbers * 104_729 % NUM_ITEMS)
    kinds = pa.array(["view", "purchase"]).take(pa.array(numbers % 2))
    times = pa.array(TIMES_MS[0] + numbers * 75)
    columns = [names("event", numbers), users, items, kinds, times, pa.array(numbers / 4)]
    return pa.table(columns, EVENT_SCHEMA)


def names(kind: str, numbers: Int64s) -> pa.Array:
    return pc.binary_join_element_wise(kind, pa.array(numbers).cast(pa.string()), "-")


def write_part(folder: Path, number: int, rows: pa.Table) -> None:
    new = folder / f".{number:06d}"
    pq.write_table(rows, new, compression="zstd")
    new.replace(folder / f"{number:06d}.parquet")


def join_parts(folder: Path, users: Column, at_us: Int64s) -> pa.Table:
    """The join this project had: one sort of all keys and times, then the rows that are found."""
    files = sorted(folder.glob("*.parquet"))
    index = pa.concat_tables(
        [pq.read_table(f, columns=["user_id", "event_timestamp", "created"]) for f in files]
    )
    codes = pc.index_in(index["user_id"], value_set=pc.unique(users)).fill_null(-1).to_numpy()
    asked = pc.index_in(users, value_set=pc.unique(users)).to_numpy()
    times = [index[name].cast(pa.int64()).to_numpy() for name in ("event_timestamp", "created")]
    num_rows = len(codes)
    is_asked = np.repeat([0, 1], [num_rows, len(asked)])
    order = np.lexsort(
        (
            np.concatenate([times[1], np.zeros(len(asked), np.int64)]),
            is_asked,
            np.concatenate([times[0], at_us]),
            np.concatenate([codes, asked]),
        )
    )
    latest = np.maximum.accumulate(np.where(order < num_rows, np.arange(len(order)), -1))
    places = np.flatnonzero(order >= num_rows)
    rows = np.full(len(asked), -1)
    rows[order[places] - num_rows] = np.where(latest[places] >= 0, order[latest[places]], -1)
    rows[(rows >= 0) & (codes[rows] != asked)] = -1
    found = pa.concat_tables([pq.read_table(f, columns=KNOWN.names) for f in files])
    return found.take(pa.array(rows, mask=rows < 0)).cast(KNOWN)


def read_parts(folder: Path) -> pa.Table:
    """Events by time, the last of each id; one id of two users was one event."""
    files = sorted(str(file) for file in folder.glob("*.parquet"))
    ordered = ds.dataset(files, schema=EVENT_SCHEMA).to_table().sort_by("event_time_ms")
    ordered = ordered.append_column("place", pa.array(range(ordered.num_rows), pa.int64()))
    last = ordered.group_by("event_id").aggregate([("place", "max")])["place_max"]
    return ordered.take(last.combine_chunks().sort()).drop_columns("place")


def timed(kept: list[float], work: Callable[[], pa.Table | None]) -> pa.Table | None:
    start = time.perf_counter()
    answer = work()
    kept.append(time.perf_counter() - start)
    return answer


def run_round(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> list[Stage]:
    """One round of every stage on fresh folders; the times of (parts, Delta)."""
    parts, part_events = folder / "parts", folder / "part_events"
    parts.mkdir()
    part_events.mkdir()
    table = OfflineTable.create(folder / "table", offline_schema(SEQUENCES))
    archive = EventArchive(folder / "events")
    ours: Stage = {"append": [], "join": [], "events": []}
    theirs: Stage = {"append": [], "join": [], "events": []}
    logged = events(rng, options.events)
    size = -(-options.events // options.appends)
    for number in range(options.appends):
        rows = offline_rows(SEQUENCES, sequences(rng, options.rows))
        new = as_history(logged.slice(number * size, size))
        commit = Commit("run", number)
        timed(theirs["append"], lambda: write_both(parts, part_events, number, rows, new))  # noqa: B023
        timed(ours["append"], lambda: append_both(table, archive, rows, new, commit))  # noqa: B023
    users = names("user", rng.integers(0, NUM_USERS, options.labels))
    at_us = rng.integers(*TIMES_MS, options.labels) * 1000
    expected = timed(theirs["join"], lambda: join_parts(parts, users, at_us))
    found = timed(ours["join"], lambda: rows_as_of(table, "user_id", users, pa.array(at_us), KNOWN))
    assert found is not None
    assert expected is not None
    assert found.equals(expected), "both joins find the same"
    read = timed(theirs["events"], lambda: read_parts(part_events))
    distinct = timed(ours["events"], archive.read)
    assert read is not None
    assert distinct is not None
    assert read.num_rows == distinct.num_rows
    return [theirs, ours]


def write_both(parts: Path, part_events: Path, number: int, rows: pa.Table, new: pa.Table) -> None:
    write_part(parts, number, rows)
    write_part(part_events, number, new)


def append_both(
    table: OfflineTable, archive: EventArchive, rows: pa.Table, new: pa.Table, commit: Commit
) -> None:
    table.append(rows, commit)
    archive.append(new, commit)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--appends", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--events", type=int, default=380_000)
    parser.add_argument("--labels", type=int, default=20_000)
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="reaseq-offline-") as folder:
            rounds.append(run_round(Path(folder), options, np.random.default_rng(number)))
    stages = {}
    for stage in ("append", "join", "events"):
        parts, delta = ([sum(side[stage]) for side in sides] for sides in zip(*rounds, strict=True))
        stages[stage] = compare(stage, "s", delta, parts)
    written = write_results("offline", {"options": vars(options), "seconds": stages})
    say(f"written: {written}")


if __name__ == "__main__":
    main()
