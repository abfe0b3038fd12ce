"""What user sequences cost in memory, and what a checkpoint of some changed users costs.

    make bench-state [ARGS="--users 10000,100000,1000000 --events-per-user 20"]

Users of very different zeal (a geometric number of events, so most have few) are merged into one
`SequenceState`. Bytes are counted twice: what the arrays hold, and how much the process grew, which
includes what they have reserved and touched. Then the same number of users changes again and again,
and each time a checkpoint is saved: its time should not depend on how many users did not change.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.report import say, write_results
from benchmarks.rounds import Spread
from reaseq.schemas import EVENT_SCHEMA
from reaseq.sequences.state import SequenceState
from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress

PARTITION = Partition("bench", 0)
NUM_CHECKPOINTS = 40
NUM_CHANGED = 1000
USERS_AT_ONCE = 20_000
MAX_EVENTS = 100
FIRST_MS = 1_700_000_000_000


def events_of(users: Any, rng: np.random.Generator, counts: Any, number: int) -> pa.Table:
    """So many events of each user, shuffled; `number` makes their ids."""
    of_event = np.repeat(users, counts)
    rng.shuffle(of_event)
    num = len(of_event)
    ids = number * 10_000_000 + np.arange(num)
    return pa.table(
        {
            "event_id": pa.array([f"e{one}" for one in ids.tolist()]),
            "user_id": pa.array([f"u{one:07d}" for one in of_event.tolist()]),
            "item_id": pa.array([f"i{one:05d}" for one in rng.integers(0, 20_000, num).tolist()]),
            "event_type": pa.array(["view"]).take(np.zeros(num, np.int64)),
            "event_time_ms": FIRST_MS + 20 * ids,
            "value": rng.integers(50, 20_000, num) / 100,
        },
        EVENT_SCHEMA,
    )


def resident_bytes() -> int:
    """Memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure(num_users: int, events_per_user: int) -> dict[str, Any]:
    """One size, in this process."""
    rng = np.random.default_rng(0)
    state = SequenceState(MAX_EVENTS)
    state.merge(events_of(np.array([num_users]), rng, [1], 999))
    gc.collect()
    before = resident_bytes()
    for start in range(0, num_users, USERS_AT_ONCE):
        users = np.arange(start, min(start + USERS_AT_ONCE, num_users))
        counts = np.minimum(rng.geometric(1 / events_per_user, len(users)), MAX_EVENTS)
        state.merge(events_of(users, rng, counts, start // USERS_AT_ONCE))
    gc.collect()
    grown = resident_bytes() - before
    retained = state.num_events
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        began = time.perf_counter()
        checkpoints.save(PARTITION, Checkpoint(Progress(0), {"sequences": state.rows()}))
        whole_s = time.perf_counter() - began
        seconds = []
        for number in range(NUM_CHECKPOINTS):
            slots = np.sort(rng.choice(num_users, NUM_CHANGED, replace=False))
            began = time.perf_counter()
            changed = Checkpoint(Progress(number), {"sequences": state.rows(slots)})
            checkpoints.save(PARTITION, changed)
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        checkpoints.load(PARTITION)
        load_s = time.perf_counter() - began
    return {
        "users": num_users,
        "retained_events": retained,
        "bytes_per_event": state.num_bytes / retained,
        "resident_bytes_per_event": grown / retained,
        "first_checkpoint_s": whole_s,
        "checkpoint_ms": [1000 * one for one in seconds],
        "load_s": load_s,
    }


def main() -> None:
    """Each size in a process of its own, so that none starts with another's memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", default="10000,100000,1000000")
    parser.add_argument("--events-per-user", type=int, default=20)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        say(msgspec.json.encode(measure(options.one, options.events_per_user)).decode())
        return
    sizes = []
    for num_users in map(int, options.users.split(",")):
        command = [sys.executable, "-m", "benchmarks.state", "--one", str(num_users)]
        command += ["--events-per-user", str(options.events_per_user)]
        found = msgspec.json.decode(
            subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        )
        found["checkpoint_ms"] = Spread.of(found["checkpoint_ms"])
        say(
            f"{num_users:>9,} users  {found['bytes_per_event']:5.1f} bytes an event "
            f"({found['resident_bytes_per_event']:.1f} resident)  checkpoint of {NUM_CHANGED:,} "
            f"changed {found['checkpoint_ms'].median:6.1f} ms (up to "
            f"{found['checkpoint_ms'].high:.1f}), of all {1000 * found['first_checkpoint_s']:,.0f}"
        )
        sizes.append(found)
    content = {"options": vars(options), "changed_users": NUM_CHANGED, "sizes": sizes}
    say(f"written: {write_results('state', content)}")


if __name__ == "__main__":
    main()
