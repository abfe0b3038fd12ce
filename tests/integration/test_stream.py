"""The stream on a real broker, Ray Data actors and Feast, with its actors killed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pyarrow as pa
import pytest

from ray_apps.jobs.stream import StreamJob
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.system import Infrastructure, streaming
from reaseq.feature_views import ITEMS, SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA
from reaseq.sequences.oracle import mismatched_users, newest_distinct_events
from streams.feature_store.features import Features
from streams.log.codec import event_codec, item_codec
from streams.log.kafka import KafkaLog
from streams.log.ports import Partition
from streams.log.replay import replay
from streams.offline.events import EventArchive
from streams.shards.checkpoints import Checkpoints
from tests.waiting import wait_until

NUM_USERS = 60


def make_events(num_events: int, seed: int) -> pa.Table:
    """Distinct events in shuffled time order, with a tenth of them sent twice."""
    rng = random.Random(seed)
    rows = [
        {
            "event_id": f"{seed}-{number}",
            "user_id": f"u{rng.randrange(NUM_USERS)}",
            "item_id": f"i{rng.randrange(200)}",
            "event_type": rng.choice(["view", "purchase", "return"]),
            "event_time_ms": 1_300_000_000_000 + rng.randrange(10**9),
            "value": 1.5,
        }
        for number in range(num_events)
    ]
    return pa.Table.from_pylist(rows + rng.sample(rows, num_events // 10), schema=EVENT_SCHEMA)


def send(settings: Settings, events: pa.Table) -> None:
    with closing(KafkaLog(settings.kafka).writer()) as writer:
        replay(events, "user_id", settings.topics.events, event_codec(10_000), writer)


def wait_for(settings: Settings, events: pa.Table) -> None:
    """Wait until the online features equal the oracle's."""
    features = Features.open(Home(settings.home).features)
    oracle = newest_distinct_events(events, settings.stream.max_sequence_events)
    wait_until(lambda: not mismatched_users(features.read(SEQUENCES, sorted(oracle)), oracle))


@contextmanager
def running(settings: Settings) -> Iterator[StreamJob]:
    """A stream whose shards read; it is stopped whatever happens, and must have ended well."""
    job = StreamJob(settings, KafkaLog(settings.kafka))
    try:
        job.wait_until_ready()
        yield job
    finally:
        job.stop()
    job.check()


def test_killed_shards_resume_and_the_features_are_the_oracles(settings: Settings) -> None:
    """SIGKILL for every shard in the middle of the stream: same features, counts and archive."""
    events = make_events(12_000, seed=1)
    first, second = events.slice(0, 6000), events.slice(6000)
    with running(settings) as job:
        send(settings, first)
        for pid in job.pids().values():
            os.kill(pid, signal.SIGKILL)
        send(settings, second)
        wait_for(settings, events)
    archived = EventArchive(Home(settings.home).events).read()
    assert archived.num_rows == 12_000
    checkpoints = Checkpoints(Home(settings.home).checkpoints)
    progress = [
        checkpoints.progress(Partition(settings.topics.events, index)) for index in range(4)
    ]
    assert sum(p.counters.num_records for p in progress if p) == events.num_rows
    assert sum(p.counters.num_accepted for p in progress if p) <= 12_000


def test_a_stopped_stream_goes_on_with_another_number_of_shards(settings: Settings) -> None:
    """State belongs to partitions, so rescaling is a restart; items reach the catalogue too."""
    first, second = make_events(2000, seed=2), make_events(2000, seed=3)
    with running(settings):
        send(settings, first)
        wait_for(settings, first)
    wider = settings.model_copy(
        update={"stream": settings.stream.model_copy(update={"num_shards": 4})}
    )
    send(settings, second)
    items = pa.Table.from_pylist(
        [{"item_id": "i1", "title": "A mug", "event_time_ms": 1_300_000_000_000}],
        schema=ITEM_SCHEMA,
    )
    with running(wider):
        with closing(KafkaLog(settings.kafka).writer()) as writer:
            replay(items, "item_id", settings.topics.items, item_codec(10_000), writer)
        wait_for(settings, pa.concat_tables([first, second]))
        features = Features.open(Home(settings.home).features)
        wait_until(lambda: features.read(ITEMS, ["i1"]).num_rows > 0)
        assert features.read(ITEMS, ["i1"])["title"].to_pylist() == ["A mug"]


def test_a_second_stream_on_one_home_is_refused(settings: Settings) -> None:
    """Two would write the same checkpoints: the second is refused, the first goes on."""
    base = Infrastructure(settings, KafkaLog(settings.kafka))
    with streaming(base) as first:
        with pytest.raises(ValueError, match="already runs"), streaming(base):
            pass
        first.check()
