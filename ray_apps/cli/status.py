"""How the running system is doing: lag, freshness, counts, model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import httpx
import msgspec

from ray_apps.registry.kinds import registry_of
from ray_apps.runtime.home import Home
from ray_apps.runtime.run_file import Running
from ray_apps.settings import Settings
from streams.log.kafka import KafkaLog
from streams.log.ports import Log
from streams.shards.checkpoints import Checkpoints


class PartitionStatus(msgspec.Struct):
    """One partition as its shard last checkpointed it."""

    topic: str
    number: int
    end_offset: int
    next_offset: int
    num_records: int = 0
    num_accepted: int = 0
    num_dead_letters: int = 0
    checkpoint_age_s: float | None = None
    freshness_p50_ms: float | None = None
    freshness_p99_ms: float | None = None
    num_lost: int = 0
    """Records that left the log before they were read."""
    newest_event_time_ms: int | None = None
    """As the event itself says, believed by nobody alone."""

    @property
    def lag(self) -> int:
        """Records in the log that no checkpoint covers yet."""
        return max(0, self.end_offset - self.next_offset)


class Status(msgspec.Struct):
    """The system at one moment."""

    url: str
    pid: int
    healthy: bool
    champion: str | None
    serving_version: str | None
    generator: str | None
    """The behaviour generator that answers."""
    knowledge_model: str | None
    """The language model behind the product agent."""
    missing: list[str]
    """What the application says is missing."""
    versions: list[str]
    partitions: list[PartitionStatus]


def read_status(settings: Settings, home: Home, running: Running) -> Status:
    """Ask the broker, the checkpoints and the application."""
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": running.bootstrap_servers})
    health = _health(running.url) or {}
    models = registry_of(settings.at_home(home.root), "ranker")
    return Status(
        url=running.url,
        pid=running.pid,
        healthy=bool(health),
        champion=models.champion,
        serving_version=health.get("model_version"),
        generator=health.get("generator_version"),
        knowledge_model=health.get("knowledge_model"),
        missing=health.get("fallbacks", []),
        versions=models.versions(),
        partitions=partition_statuses(
            (settings.topics.events, settings.topics.items),
            KafkaLog(kafka),
            Checkpoints(home.checkpoints),
        ),
    )


def partition_statuses(
    topics: Sequence[str], log: Log, checkpoints: Checkpoints
) -> list[PartitionStatus]:
    """The partitions of `topics` as their checkpoints and the end of the log show them."""
    partitions = [partition for topic in topics for partition in log.partitions(topic)]
    with closing(log.reader("reaseq-status")) as reader:
        ends = reader.end_offsets(partitions)
    now_ms = time.time() * 1000
    found = []
    for partition in partitions:
        status = PartitionStatus(partition.topic, partition.number, ends[partition], 0)
        progress = checkpoints.progress(partition)
        if progress:
            status.next_offset = progress.next_offset
            status.num_records = progress.counters.num_records
            status.num_accepted = progress.counters.num_accepted
            status.num_dead_letters = progress.counters.num_dead_letters
            status.num_lost = progress.counters.num_lost
            status.newest_event_time_ms = progress.newest_event_time_ms or None
        if progress and progress.saved_at_ms:
            status.checkpoint_age_s = (now_ms - progress.saved_at_ms) / 1000
            status.freshness_p50_ms = progress.freshness_p50_ms
            status.freshness_p99_ms = progress.freshness_p99_ms
        found.append(status)
    return found


def _health(url: str) -> dict[str, Any] | None:
    try:
        answer = httpx.get(f"{url}/healthz", timeout=5)
        answer.raise_for_status()
    except httpx.HTTPError:
        return None
    return dict(answer.json())
