"""The stream against its peers: keyed newest-100 sequences from Kafka to the online store.

    make bench-streaming [ARGS="--rounds 5 --kafka-streams COMMAND --quix COMMAND"]

One broker, one topic of JSON events with some doubled and some late; every contender reads it from
the start to the end, in turns. Ours is `streams.shards.shard.Shard` in one or two processes, as the
stream job runs it: decoded, merged, written, checkpointed. `--kafka-streams` and `--quix` are the
commands of peers that are called `COMMAND BOOTSTRAP TOPIC TOTAL durable|memory THREADS` and print a
JSON line with `seconds`, `users` and `retained`; the second is `benchmarks/peers/quix_sequences.py`
behind the Python of an environment that has Quix Streams. Without a launcher
(REASEQ_KAFKA__LAUNCHER) the embedded broker is measured, which no figure should rest on. What is
not there is left out by name.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.redis_server import started_redis
from benchmarks.report import say, write_results
from benchmarks.rounds import Spread
from ray_apps.settings import load_settings
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.log.ports import Topic
from streams.settings import KafkaSettings

NUM_PARTITIONS = 4
CHECKPOINT_S = 5.0
MAX_EVENTS = 100
DOUBLED, LATE = 0.02, 0.05
FIRST_MS, STEP_MS, DAY_MS = 1_700_000_000_000, 20, 86_400_000
TYPES = ("view", "cart", "purchase")
TOPIC = "bench.events"
KAFKA_STREAMS, QUIX = "Kafka Streams, durable", "Quix Streams, durable"

Found = dict[str, Any]
"""What a contender says of one run: seconds, users, retained."""


def make_events(num_events: int, seed: int = 0) -> dict[str, Any]:
    """Columns of events: users of very different zeal, some events doubled, some late."""
    rng = np.random.default_rng(seed)
    num_users = max(1, int(0.075 * num_events))
    event = np.arange(num_events)
    again = event[(rng.random(num_events) < DOUBLED) & (event > 0)]
    event[again] = np.maximum(0, again - rng.integers(1, 10_000, len(again)))
    users = (num_users * rng.random(num_events) ** 2).astype(np.int64)[event]
    late = np.where(rng.random(num_events) < LATE, rng.integers(0, DAY_MS, num_events), 0)[event]
    return {
        "event": event,
        "user": users,
        "item": (20_000 * rng.random(num_events) ** 2).astype(np.int64)[event],
        "type": rng.integers(0, len(TYPES), num_events)[event],
        "time_ms": FIRST_MS + STEP_MS * event - late,
        "cents": rng.integers(50, 20_000, num_events)[event],
    }


def produce(events: dict[str, Any], settings: KafkaSettings) -> None:
    """Write the events to the topic, as a shop's own producer would."""
    log = KafkaLog(settings)
    log.create_topics([Topic(TOPIC, NUM_PARTITIONS)])
    columns = [
        events[name].tolist() for name in ("event", "user", "item", "type", "time_ms", "cents")
    ]
    with closing(log.writer()) as writer:
        for event, user, item, kind, time_ms, cents in zip(*columns, strict=True):
            value = (
                f'{{"event_id":"e{event:08d}","user_id":"u{user:06d}","item_id":"i{item:05d}",'
                f'"event_type":"{TYPES[kind]}","event_time_ms":{time_ms},"value":{cents / 100},'
                f'"context":{{"session":"s{user * 7 % 1_000_003:07d}","country":"GB"}}}}'
            )
            writer.send(TOPIC, value.encode(), f"u{user:06d}".encode())
            if event % 50_000 == 0:
                writer.flush()


def oracle(events: dict[str, Any]) -> Found:
    """Users, and events that a newest-100 sequence of each retains."""
    pairs = np.unique(np.stack([events["user"], events["event"]]), axis=1)
    _, per_user = np.unique(pairs[0], return_counts=True)
    return {"users": len(per_user), "retained": int(np.minimum(per_user, MAX_EVENTS).sum())}


class OurShards:
    """Some processes of ours on one store."""

    def __init__(self, store: str, num_processes: int, settings: KafkaSettings) -> None:
        self._store, self._num_processes, self._settings = store, num_processes, settings

    def run(self, num_events: int) -> Found:
        """Start them, let them go together, and wait for both."""
        with tempfile.TemporaryDirectory() as folder, online_store(self._store) as url:
            shards = []
            for number in range(self._num_processes):
                own = list(range(number, NUM_PARTITIONS, self._num_processes))
                task = {
                    "kafka": self._settings.model_dump(mode="json"),
                    "topic": TOPIC,
                    "partitions": own,
                    "store": self._store,
                    "redis_url": url,
                    "folder": folder,
                    "checkpoint_s": CHECKPOINT_S,
                    "max_events": MAX_EVENTS,
                }
                shards.append(start_shard(task))
            for shard in shards:
                assert shard.stdout is not None
                assert shard.stdout.readline() == "ready\n", "a shard did not start"
            for shard in shards:
                assert shard.stdin is not None
                shard.stdin.write("go\n")
                shard.stdin.flush()
            found = [msgspec.json.decode(shard.communicate()[0]) for shard in shards]
        seconds = max(one["ended_at"] for one in found) - min(one["began_at"] for one in found)
        total = {name: sum(one[name] for one in found) for name in ("events", "users", "retained")}
        assert total["events"] == num_events, f"{total['events']} of {num_events} events were read"
        peak = sum(one["peak_mib"] for one in found)
        return {**total, "seconds": seconds, "peak_mib": peak}


def start_shard(task: Found) -> subprocess.Popen[str]:
    """A process that waits for its start; see `benchmarks.streaming_shard`."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.streaming_shard",
        msgspec.json.encode(task).decode(),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Peer:
    """A command that reads the topic and prints what it did."""

    def __init__(self, command: str, mode: str, threads: int, bootstrap: str) -> None:
        self._command = [*shlex.split(command), bootstrap, TOPIC]
        self._mode, self._threads = mode, threads

    def run(self, num_events: int) -> Found:
        """One run from the start of the topic to its end."""
        command = [*self._command, str(num_events), self._mode, str(self._threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found: Found = msgspec.json.decode(done.stdout.strip().splitlines()[-1])
        return found


@contextmanager
def online_store(store: str) -> Iterator[str | None]:
    """A Redis of its own where one is asked for."""
    if store != "redis":
        yield None
        return
    with started_redis() as address:
        yield f"redis://{address}/0"


def contenders(options: argparse.Namespace, settings: KafkaSettings) -> dict[str, OurShards | Peer]:
    """Who runs, by name; says who does not."""
    found: dict[str, OurShards | Peer] = {}
    stores = options.stores.split(",")
    if "redis" in stores and shutil.which("redis-server") is None:
        say("left out: redis (no redis-server on the PATH)")
        stores.remove("redis")
    for store in stores:
        for number in map(int, options.processes.split(",")):
            found[f"reaseq, {store}, {number} process{'es' * (number > 1)}"] = OurShards(
                store, number, settings
            )
    one_by_one = settings.model_copy(update={"fetch": "records"})
    found["reaseq, none, 1 process, kafka.fetch records"] = OurShards("none", 1, one_by_one)
    if options.kafka_streams:
        for mode in ("durable", "memory"):
            bootstrap = settings.bootstrap_servers or ""
            found[f"Kafka Streams, {mode}"] = Peer(options.kafka_streams, mode, 2, bootstrap)
    else:
        say("left out: Kafka Streams (name its command with --kafka-streams)")
    if options.quix:
        found[QUIX] = Peer(options.quix, "durable", 1, settings.bootstrap_servers or "")
    else:
        say("left out: Quix Streams (name its command with --quix)")
    return found


def main() -> None:
    """Produce once, then let everybody read, in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stores", default="none,sqlite,redis")
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--kafka-streams", default="", help="command of this peer")
    parser.add_argument("--quix", default="", help="command of this peer")
    parser.add_argument("--result", default="streaming", help="name of the file of results")
    options = parser.parse_args()
    settings = load_settings().kafka
    if not settings.launcher:
        say("no kafka.launcher: on the embedded broker, which no figure should rest on")
    events = make_events(options.events)
    expected = oracle(events)
    say(f"{options.events:,} events of {expected['users']:,} users, {expected['retained']:,} kept")
    rates: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        with closing(start_broker(settings, Path(folder))) as broker:
            reached = broker.reached_by(settings)
            produce(events, reached)
            for round_number in range(options.rounds):
                for name, contender in contenders(options, reached).items():
                    found = contender.run(options.events)
                    assert {k: found[k] for k in expected} == expected, (name, found, expected)
                    rates[name].append(options.events / found["seconds"])
                    say(f"round {round_number + 1}  {name:<44} {rates[name][-1]:>10,.0f} events/s")
    report(options, expected, rates)


def report(options: argparse.Namespace, expected: Found, rates: dict[str, list[float]]) -> None:
    """Medians, and every ratio to a durable peer within its round."""
    peers = {"vs_kafka_streams": KAFKA_STREAMS, "vs_quix": QUIX}
    figures: Found = {}
    for name, own in rates.items():
        figures[name] = {"events_per_s": Spread.of(own)}
        line = f"{name:<44} {figures[name]['events_per_s'].median:>10,.0f} events/s"
        for key, peer in peers.items():
            if peer in rates:
                ratio = Spread.of([a / b for a, b in zip(own, rates[peer], strict=True)])
                figures[name][key] = ratio
                line += f"  {key} {ratio.median:5.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        say(line)
    # The peers' commands are paths of one machine.
    asked = {n: value for n, value in vars(options).items() if n not in ("kafka_streams", "quix")}
    content = {"options": asked, "data": expected, "contenders": figures}
    say(f"written: {write_results(options.result, content)}")


if __name__ == "__main__":
    main()
