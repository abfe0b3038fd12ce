"""The same sequences by Quix Streams: newest 100 distinct events of each user, RocksDB, changelog.

    python quix_sequences.py BOOTSTRAP TOPIC TOTAL durable|memory THREADS

Needs `pip install quixstreams==3.28.1` in an environment of its own. It reads TOPIC until TOTAL
events are processed, commits every 5 s, and prints a JSON line with seconds, users and the events
retained. One process, whatever THREADS says; `memory` keeps no changelog. It writes to no feature
store, so it does less than we do.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from bisect import insort
from typing import Any

from quixstreams import Application
from quixstreams.state import State

NUM_EVENTS = 100
COMMIT_S = 5.0


def main(bootstrap: str, topic: str, total: int, is_durable: bool) -> None:
    """Run until all is read."""
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"quix-sequences-{time.time_ns()}",
            auto_offset_reset="earliest",
            commit_interval=COMMIT_S,
            use_changelog_topics=is_durable,
            state_dir=folder,
            loglevel="ERROR",
            quix_portal_api=None,
        )
        num_read = num_retained = 0
        users: set[str] = set()
        began_at = ended_at = 0.0

        def merge(event: dict[str, Any], state: State) -> None:
            nonlocal num_read, num_retained, began_at, ended_at
            began_at = began_at or time.perf_counter()
            sequence: list[list[Any]] = state.get("sequence", [])
            event_id = event["event_id"]
            if not any(one[1] == event_id for one in sequence):
                before = len(sequence)
                content = [event["item_id"], event["event_type"], event.get("value")]
                insort(sequence, [event["event_time_ms"], event_id, *content])
                del sequence[:-NUM_EVENTS]
                state.set("sequence", sequence)
                num_retained += len(sequence) - before
                users.add(event["user_id"])
            num_read += 1
            if num_read >= total:
                ended_at = time.perf_counter()
                app.stop()

        frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))
        frame.update(merge, stateful=True)
        app.run()
    found = {"seconds": ended_at - began_at, "users": len(users), "retained": num_retained}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "durable")
