"""What can be set about the log, the shards and the feature store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from reaseq.settings.section import Section
from reaseq.types import Count, Seconds
from streams.log.event_times import YEAR_1980_MS, EventTimes


class KafkaSettings(Section):
    """Where the log is. Without `bootstrap_servers` an embedded broker is started for you."""

    bootstrap_servers: str | None = None
    """host:port, comma separated. None: start the embedded broker (laptops and tests only)."""
    embedded_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the embedded broker; 0 picks a free one."""
    launcher: str | None = None
    """Command of a real broker, called `LAUNCHER PORT DATA_DIR [property=value …]`, started instead
    of the embedded one. The contract tests run on it too."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    connect_timeout_s: Seconds = 15.0
    """A broker that has not answered by then is called unreachable."""
    confirm_timeout_s: Seconds = 60.0
    """How long a writer waits for the broker to take a record and to confirm it."""
    idle_pause_ms: Annotated[int, Field(ge=0)] = 0
    """Pause after an empty fetch, for a broker that answers it at once instead of waiting for
    records, as the embedded one does: a reader would spin."""
    fetch: Literal["batches", "records"] = "batches"
    """How records are taken from the client: whole batches as columns, or one by one, a few times
    slower, where a version of it cannot do that."""
    num_partitions: Count = 4
    """Partitions of the event topic. A user lives in one partition: key = user_id."""
    replication_factor: Count = 1
    max_event_bytes: Count = 262_144
    """A larger event becomes a dead letter."""
    min_event_time_ms: Annotated[int, Field(ge=0)] = YEAR_1980_MS
    """An event before it becomes a dead letter: its time is in another unit, or its clock unset."""
    max_event_lead_s: Seconds = 86_400.0
    """An event further ahead of its record, or of now, becomes a dead letter. A day: local time
    sent as UTC. More where a replay is to carry times that are yet to come."""
    max_message_bytes: Count = 4_194_304
    """Largest value the topics take at all, beside 16 kB for key, headers and framing; must leave
    room for oversized events to arrive."""

    @property
    def event_times(self) -> EventTimes:
        """The event times that are believed."""
        return EventTimes(self.min_event_time_ms, int(self.max_event_lead_s * 1000))

    @model_validator(mode="after")
    def _check(self) -> KafkaSettings:
        if self.max_message_bytes <= self.max_event_bytes:
            raise ValueError("kafka.max_message_bytes must be larger than kafka.max_event_bytes")
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_mechanism and self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"kafka.security_protocol {self.security_protocol} needs kafka.sasl_mechanism, "
                "kafka.sasl_username and kafka.sasl_password"
            )
        return self


class TopicSettings(Section):
    """Names of the topics."""

    events: str = "reaseq.events"
    items: str = "reaseq.items"
    impressions: str = "reaseq.impressions"
    dead_letters: str = "reaseq.dead"


class StreamSettings(Section):
    """The sequence shards: from the log to the online store."""

    num_shards: Count = 2
    """Ray Data actors; the event partitions are assigned among them."""
    max_sequence_events: Count = 100
    """N: a user sequence is the newest N distinct events."""
    poll_timeout_s: Seconds = 0.5
    max_poll_records: Count = 16384
    checkpoint_interval_s: Seconds = 2.0
    """Also the longest that a shard far behind collects changed users before it writes them."""
    max_users_in_memory: Count = 250_000
    """Users of one partition whose sequences stay in memory; others are read back from the online
    store when they come again."""


class FeatureStoreSettings(Section):
    """Feast: the online store, and where the Delta tables of the offline store lie."""

    online: Literal["sqlite", "redis"] = "sqlite"
    redis_url: SecretStr | None = None
    """Where Redis is, e.g. redis://user:password@host:6379/0; for `online = "redis"`."""
    tables: str | None = None
    """Where events and offline features lie: a folder, or an address such as s3://bucket/prefix
    with the credentials in the environment (AWS_…). None: under the home folder."""

    @model_validator(mode="after")
    def _check(self) -> FeatureStoreSettings:
        if self.online == "redis" and self.redis_url is None:
            raise ValueError("features.online redis needs features.redis_url")
        return self
