"""A running system, what is sent to it, and who is killed when."""

from __future__ import annotations

import os
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pydantic import SecretStr

from benchmarks.report import say
from benchmarks.soak.parts import BrokerPart, DriverPart, RayPart, RedisPart, kill_a_shard
from benchmarks.soak.producers import Producers
from benchmarks.soak.verdict import Sent, Verdict, is_caught_up, judge, num_read
from benchmarks.soak.world import EVENTS_PER_USER, NUM_PARTITIONS, portions
from ray_apps.runtime.reaper import Reaper
from ray_apps.settings import RaySettings, Settings, load_settings
from reaseq.schemas import EVENT_SCHEMA
from streams.log.kafka import KafkaLog
from streams.log.topics import create_topics
from streams.settings import FeatureStoreSettings, StreamSettings

MAX_DELAY_S = 4.0
"""A kill comes at a random moment of so many seconds after more was begun to be sent."""

TWICE = 0.2
"""How often a kill comes before the stream has recovered from the one before."""

RECOVERY_S = 180.0

CATCH_UP_S = 900.0
NUM_SHARDS = 2

Kill = Callable[[], None]


class Plan(NamedTuple):
    """How much of everything."""

    num_events: int
    num_kills: int
    seed: int


class Outcome(NamedTuple):
    """What happened, and what became of what was sent."""

    kills: dict[str, int]
    repeated_lots: int
    """Records that a producer sent again because it was not sure of them, in lots."""
    driver_ended: int
    """How often the stream's driver ended although nobody had killed it."""
    exit_status: int
    """Of the driver when it was asked to stop at the end."""
    seconds: float
    verdict: Verdict


def soak(plan: Plan) -> Outcome:
    """Run it. Everything that is started is stopped, in a temporary folder that goes with it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reaseq-soak-")))
        stack.callback(Reaper(folder).close)
        stack.enter_context(_environment(folder))
        began_at = time.monotonic()
        rng = random.Random(plan.seed)
        system = _System(plan, folder, stack)
        sent, repeated, kills = _send_and_kill(plan, system.settings, rng, system.killers(rng))
        say("all is sent; waiting for the stream")
        log = KafkaLog(system.settings.kafka)
        _wait_until_caught_up(system.settings, log)
        status = system.driver.stop()
        verdict = judge(system.settings, log, sent)
        seconds = time.monotonic() - began_at
        return Outcome(kills, repeated, system.driver.num_ended, status, seconds, verdict)


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What the processes that are started find in theirs."""
    ours = {
        # Both nodes and all drivers must know the same one, whatever lies in the home of the user.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Where a broker that is killed leaves the libraries that it unpacks.
        "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={folder}",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


class _System:
    """Everything runs, and ends with the stack."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self._broker = stack.enter_context(
            closing(BrokerPart(load_settings().kafka, folder / "broker"))
        )
        self._redis = RedisPart.start(folder / "redis")
        if self._redis:
            stack.enter_context(closing(self._redis))
        self._ray = stack.enter_context(closing(RayPart(folder / "ray")))
        self.settings = _settings(plan, folder, self._broker, self._redis, self._ray)
        log = KafkaLog(self.settings.kafka)
        create_topics(log, self.settings.topics, self.settings.kafka.num_partitions)
        self.driver = stack.enter_context(closing(DriverPart(self.settings, folder / "driver.log")))

    def killers(self, rng: random.Random) -> dict[str, Kill]:
        """Who can be killed; says who cannot."""
        found: dict[str, Kill] = {
            "shard": lambda: kill_a_shard(rng),
            "driver": self.driver.kill,
            "ray node": self._ray.kill,
        }
        if self.settings.kafka.launcher:
            found["broker"] = self._broker.kill
        else:
            say("left out: the broker (the embedded one may forget: set kafka.launcher)")
        if self._redis:
            found["redis"] = self._redis.kill
        else:
            say("left out: Redis (no redis-server on the PATH)")
        return found


def _settings(
    plan: Plan, folder: Path, broker: BrokerPart, redis: RedisPart | None, ray: RayPart
) -> Settings:
    num_users = plan.num_events // EVENTS_PER_USER
    in_memory = max(1, num_users // NUM_PARTITIONS // 10)
    return Settings(
        home=folder / "home",
        kafka=broker.settings.model_copy(update={"num_partitions": NUM_PARTITIONS}),
        stream=StreamSettings(num_shards=NUM_SHARDS, max_users_in_memory=in_memory),
        features=(
            FeatureStoreSettings(online="redis", redis_url=SecretStr(redis.url))
            if redis
            else FeatureStoreSettings()
        ),
        ray=RaySettings(address=ray.address),
    )


def _send_and_kill(
    plan: Plan, settings: Settings, rng: random.Random, killers: dict[str, Kill]
) -> tuple[Sent, int, dict[str, int]]:
    """Send a portion, kill somebody while it is under way, and so on."""
    producers = Producers(settings.kafka, settings.topics, plan.seed)
    names = [list(killers)[number % len(killers)] for number in range(plan.num_kills)]
    rng.shuffle(names)
    tables, keys, aborted = [EVENT_SCHEMA.empty_table()], set(), set()
    with ThreadPoolExecutor(1) as sender:
        for number, portion in enumerate(portions(plan.num_events, plan.num_kills + 1, plan.seed)):
            sending = sender.submit(producers.send, portion)
            if number < plan.num_kills:
                time.sleep(rng.uniform(0, MAX_DELAY_S))
                say(f"kill {number + 1} of {plan.num_kills}: {names[number]}")
                killers[names[number]]()
            sending.result()
            if rng.random() > TWICE:
                _wait_for_progress(settings)
            tables.append(portion.events)
            keys |= {key for key, _ in portion.malformed}
            aborted |= set(portion.aborted["event_id"].to_pylist())
    sent = Sent(pa.concat_tables(tables), keys, aborted)
    return sent, producers.num_repeats, dict(Counter(names))


def _wait_for_progress(settings: Settings) -> None:
    """Return when the stream has checkpointed more than it had, or all there is."""
    log = KafkaLog(settings.kafka)
    before = num_read(settings, log)
    deadline = time.monotonic() + RECOVERY_S
    while num_read(settings, log) <= before and not is_caught_up(settings, log):
        assert time.monotonic() < deadline, f"no progress in {RECOVERY_S:.0f} s after a kill"
        time.sleep(0.5)


def _wait_until_caught_up(settings: Settings, log: KafkaLog) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    while not is_caught_up(settings, log):
        assert time.monotonic() < deadline, f"the stream did not catch up in {CATCH_UP_S:.0f} s"
        time.sleep(2)
