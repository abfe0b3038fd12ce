"""How soon an event is readable, against load, and what a stream costs that has nothing to do.

    make bench-freshness [ARGS="--rates 500,2000,8000 --seconds 20 --store redis"]

`reaseq stream` as it is installed, on the broker of kafka.launcher (the embedded one without). The
time is from just before an event is handed to a producer until `get_online_features` shows it; a
process of its own produces, another asks. Idle cost is processor time over wall time, of the
shards' processes and of everything that was started but the broker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from pydantic import SecretStr

from benchmarks.redis_server import started_redis
from benchmarks.report import say, write_results
from ray_apps.settings import Settings, load_settings
from ray_apps.system import infrastructure, streaming
from reaseq.feature_views import SEQUENCES
from reaseq.sequences.hashing import hash64
from streams.feature_store.features import Features
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.settings import FeatureStoreSettings, KafkaSettings

NUM_USERS = 50_000
TICK_S = 0.02
"""One event of each tick is asked for."""

PAUSE_S = 0.005
"""Between two questions; without it the asker takes a whole core from what it measures."""

WARM_UP_S = 3.0
IDLE_S = 20.0
PATIENCE_S = 60.0

Found = dict[str, Any]


def produce(
    kafka: KafkaSettings, topic: str, rate: int, seconds: float, probes: Connection
) -> None:
    """Send events at a rate; tell user, id and time of one a tick, and None at the end."""
    rng = np.random.default_rng(rate)
    with closing(KafkaLog(kafka).writer()) as writer:
        began_at = time.monotonic()
        num_sent = 0
        while (elapsed_s := time.monotonic() - began_at) < seconds:
            due = int(rate * elapsed_s) - num_sent
            for n, user in enumerate(rng.integers(0, NUM_USERS, due).tolist()):
                event_id = f"{rate}-{num_sent + n}"
                if n == 0 and elapsed_s > WARM_UP_S:
                    probes.send((f"u{user}", event_id, time.monotonic()))
                value = (
                    f'{{"event_id":"{event_id}","user_id":"u{user}","item_id":"i{user % 5000}",'
                    f'"event_type":"view","event_time_ms":{time.time_ns() // 1_000_000}}}'
                )
                writer.send(topic, value.encode(), f"u{user}".encode())
            num_sent += due
            time.sleep(TICK_S)
        probes.send(None)
        writer.flush()


def delays_ms(features: Features, probes: Connection) -> list[float]:
    """Ask for each probe's user until the event is there."""
    waiting: dict[tuple[str, int], float] = {}
    found = []
    is_over = False
    last_at = time.monotonic()
    while waiting or not is_over:
        while not is_over and probes.poll(0 if waiting else 0.1):
            probe = probes.recv()
            if probe is None:
                is_over = True
                break
            user, event_id, sent_at = probe
            waiting[user, int(hash64(pa.array([event_id]))[0])] = sent_at
        time.sleep(PAUSE_S)
        rows = features.read(SEQUENCES, sorted({user for user, _ in waiting}))
        now = time.monotonic()
        held = dict(zip(rows["user_id"].to_pylist(), rows["event_keys"].to_pylist(), strict=True))
        for user, key in list(waiting):
            if key in held.get(user, ()):
                found.append((now - waiting.pop((user, key))) * 1000)
                last_at = now
        assert now - last_at < PATIENCE_S, f"{len(waiting)} events are not readable"
    return found


def processor_s(processes: list[psutil.Process]) -> float:
    """Processor time so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def idle_cores(processes: list[psutil.Process]) -> float:
    """Cores in use while nothing happens."""
    before = processor_s(processes)
    time.sleep(IDLE_S)
    return round((processor_s(processes) - before) / IDLE_S, 4)


def measured(options: argparse.Namespace, folder: Path, stack: ExitStack) -> Iterator[Found]:
    """Idle cost first, then each rate."""
    kafka = load_settings().kafka
    broker = stack.enter_context(closing(start_broker(kafka, folder / "broker")))
    features = FeatureStoreSettings()
    if options.store == "redis":
        address = stack.enter_context(started_redis())
        url = SecretStr(f"redis://{address}/0")
        features = FeatureStoreSettings(online="redis", redis_url=url)
    settings = Settings(home=folder / "home", kafka=broker.reached_by(kafka), features=features)
    base = stack.enter_context(infrastructure(settings, say=lambda what: None))
    stream = stack.enter_context(streaming(base))
    time.sleep(10)
    shards = [psutil.Process(pid) for pid in stream.pids().values()]
    family = [one for one in psutil.Process().children(recursive=True) if one.pid != broker.pid]
    yield {"idle_cores": {"shards": idle_cores(shards), "all": idle_cores(family)}}
    opened = Features.open(settings.home / "features")
    for rate in map(int, options.rates.split(",")):
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        task = (settings.kafka, settings.topics.events, rate, options.seconds, theirs)
        producer = multiprocessing.get_context("spawn").Process(target=produce, args=task)
        producer.start()
        delays = delays_ms(opened, ours)
        producer.join()
        p50, p99 = np.percentile(delays, [50, 99]).round(1).tolist()
        say(f"{rate:>7,} events/s  p50 {p50:,.0f} ms  p99 {p99:,.0f} ms  of {len(delays)}")
        yield {"events_per_s": rate, "p50_ms": p50, "p99_ms": p99, "num_probes": len(delays)}


def main() -> None:
    """Measure once and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="500,2000,5000,10000,20000")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--store", choices=["sqlite", "redis"], default="redis")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        idle, *curve = measured(options, Path(folder), stack)
        say(f"idle, in cores: {idle['idle_cores']}")
    at_2000 = next((one for one in curve if one["events_per_s"] == 2000), None)
    name = f"freshness_{options.store}"
    figures = {"options": vars(options), **idle, "freshness_ms": at_2000, "curve": curve}
    say(f"written: {write_results(name, figures)}")


if __name__ == "__main__":
    main()
