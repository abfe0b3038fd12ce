"""One process of `reaseq` in `benchmarks.streaming`: a shard as the stream runs it."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretStr

from benchmarks.report import say
from ray_apps.runtime.threads import one_thread
from reaseq.feature_views import ViewSpec
from streams.feature_store.features import Features, warm_up
from streams.feature_store.ports import FeatureTables
from streams.log.kafka import KafkaLog
from streams.log.ports import Partition
from streams.offline.events import EventArchive
from streams.offline.tables import Commit
from streams.settings import KafkaSettings, StreamSettings, TopicSettings
from streams.shards.builder import ShardBuilder
from streams.shards.checkpoints import Checkpoints
from streams.shards.topology import HandlerPorts, topology

MIB = 1024


class NoFeatures:
    """A feature store that keeps nothing: what the stream costs without one."""

    def read(self, view: ViewSpec, ids: Any) -> pa.Table:
        """Nobody is known."""
        return view.schema.empty_table()

    def write(self, view: ViewSpec, rows: pa.Table) -> int:
        """Forget them."""
        return rows.num_rows

    def known(self, view: ViewSpec, ids: Any) -> list[str]:
        """Nobody is."""
        return []

    def sync(self) -> None:
        """Nothing is kept."""

    def append(self, view: ViewSpec, rows: pa.Table, commit: Commit) -> None:
        """Forget them."""


class NoArchive:
    """An archive that keeps nothing."""

    def append(self, events: pa.Table, commit: Commit) -> None:
        """Forget them."""


def builder(task: dict[str, Any]) -> ShardBuilder:
    """The builder of the stream job, on the stores of the task."""
    folder = Path(task["folder"])
    checkpoints = Checkpoints(folder / "checkpoints")
    features: FeatureTables = NoFeatures()  # type: ignore[assignment]
    archive: Any = NoArchive()
    if task["store"] != "none":
        url = SecretStr(task["redis_url"]) if task["redis_url"] else None
        Features.apply(folder / "features", task["store"], url)
        features = Features.open(folder / "features")
        archive = EventArchive(folder / "events")
    settings = StreamSettings(
        checkpoint_interval_s=task["checkpoint_s"], max_sequence_events=task["max_events"]
    )
    topics = TopicSettings(events=task["topic"], dead_letters=f"{task['topic']}.dead")
    kafka = KafkaSettings(**task["kafka"])
    return ShardBuilder(
        topology(topics, 1),
        KafkaLog(kafka),
        checkpoints,
        HandlerPorts(features, archive, checkpoints, settings),
        dead_letter_topic=topics.dead_letters,
        max_event_bytes=kafka.max_event_bytes,
        event_times=kafka.event_times,
    )


def main() -> None:
    """Run to the end that the topic has now, and say what it took."""
    one_thread()
    task = msgspec.json.decode(sys.argv[1])
    partitions = [Partition(task["topic"], number) for number in task["partitions"]]
    built = builder(task)
    shard = built.build(partitions)
    shard.restore()
    with_ends = built.log.reader("bench-ends")
    ends = with_ends.end_offsets(partitions)
    with_ends.close()
    total = sum(ends.values())
    warm_up()
    say("ready")
    sys.stdin.readline()
    began_at = time.time()
    saved_at, num_read = time.monotonic(), 0
    while num_read < total:
        num_read += shard.step()
        if time.monotonic() - saved_at >= task["checkpoint_s"]:
            shard.checkpoint()
            saved_at = time.monotonic()
    shard.checkpoint()
    ended_at = time.time()
    kept = [built.checkpoints.load(partition) for partition in partitions]
    states = [one.states["sequences"] for one in kept if one is not None]
    rows = pa.concat_tables([state for state in states if state is not None])
    found = {
        "events": num_read,
        "users": rows.num_rows,
        "retained": pc.sum(pc.list_value_length(rows["item_ids"])).as_py(),
        "began_at": began_at,
        "ended_at": ended_at,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MIB,
    }
    shard.close()
    say(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
