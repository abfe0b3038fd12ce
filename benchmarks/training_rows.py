"""What training rows cost: the sequence before each label, computed from the archived events.

    make bench-training-rows [ARGS="--events 1000000,10000000"]

Each size in a process of its own: a log of events is archived, a tenth as many orders of its users
are labels, at times of their own events, and `Features.training_rows` makes a row of each: Feast's
historical retrieval with the offline store of this project. Reported are rows a second, the memory
that the process took at most, and how much longer ten times as much takes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.report import say, write_results
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA
from reaseq.types import Int64s
from streams.feature_store.features import Features
from streams.offline.events import EventArchive, as_history
from streams.offline.tables import Commit

EVENTS_PER_USER, EVENTS_PER_LABEL = 13, 10
NUM_ITEMS = 20_000
FIRST_MS, STEP_MS = 1_300_000_000_000, 20
EVENTS_AT_ONCE = 500_000
KIB_PER_MIB = 1024


def names(kind: str, numbers: Int64s) -> pa.Array:
    """Ids of one kind."""
    return pc.binary_join_element_wise(kind, pa.array(numbers).cast(pa.string()), "")


def users_of(numbers: Int64s, num_users: int) -> Int64s:
    """Whose each event is: users of very different zeal, without a table of them."""
    share = (numbers * 2_654_435_761 % 2**32) / 2**32
    return (num_users * share**2).astype(np.int64)


def events(numbers: Int64s, num_users: int) -> pa.Table:
    """These events of the log."""
    columns = [
        names("e", numbers),
        names("u", users_of(numbers, num_users)),
        names("i", numbers * 104_729 % NUM_ITEMS),
        pa.array(["view", "purchase"]).take(pa.array(numbers % 2)),
        pa.array(FIRST_MS + STEP_MS * numbers),
        pa.array(numbers % 1000 / 4),
    ]
    return pa.table(columns, EVENT_SCHEMA)


def measure(num_events: int) -> dict[str, Any]:
    """One size, in this process."""
    num_users = num_events // EVENTS_PER_USER
    with tempfile.TemporaryDirectory() as folder:
        Features.apply(Path(folder))
        archive = EventArchive(Path(folder) / "data" / "events")
        for start in range(0, num_events, EVENTS_AT_ONCE):
            some = np.arange(start, min(start + EVENTS_AT_ONCE, num_events))
            archive.append(as_history(events(some, num_users)), Commit("log", start))
        labelled = np.random.default_rng(0).choice(num_events, num_events // EVENTS_PER_LABEL)
        columns: dict[str, Any] = {
            "user_id": names("u", users_of(labelled, num_users)),
            "label_time_ms": FIRST_MS + STEP_MS * labelled,
            "label_item_ids": [["i1"]] * len(labelled),
        }
        labels = pa.table([columns[name] for name in ORDER_SCHEMA.names], ORDER_SCHEMA)
        features = Features.open(Path(folder))
        before_mib = peak_mib()
        began_at = time.perf_counter()
        rows = features.training_rows(labels)
        seconds = time.perf_counter() - began_at
    assert rows.num_rows == len(labelled), "a label came back more or less than once"
    return {
        "events": num_events,
        "labels": len(labelled),
        "seconds": seconds,
        "rows_per_s": len(labelled) / seconds,
        "mean_length": pc.sum(pc.list_value_length(rows["item_ids"])).as_py() / rows.num_rows,
        "answer_mib": rows.nbytes / 2**20,
        "peak_mib_before": before_mib,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def main() -> None:
    """Each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="1000000,10000000")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        say(msgspec.json.encode(measure(options.one)).decode())
        return
    sizes = []
    for num_events in map(int, options.events.split(",")):
        command = [sys.executable, "-m", "benchmarks.training_rows", "--one", str(num_events)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found = msgspec.json.decode(done.stdout.splitlines()[-1])
        say(
            f"{num_events:>12,} events, {found['labels']:,} labels: {found['rows_per_s']:,.0f} "
            f"rows/s, {found['peak_mib']:,.0f} MiB at most, of which the answer is "
            f"{found['answer_mib']:,.0f} and {found['peak_mib_before']:,.0f} were taken before"
        )
        sizes.append(found)
    growth = sizes[-1]["seconds"] / sizes[0]["seconds"]
    more = sizes[-1]["events"] / sizes[0]["events"]
    say(f"{more:.0f} times the events: {growth:.1f} times as long")
    content = {"options": vars(options), "sizes": sizes, "growth": growth}
    say(f"written: {write_results('training_rows', content)}")


if __name__ == "__main__":
    main()
