"""The log on a real broker, through kafka-python.

Partitions are assigned explicitly and positions are ours (`streams.shards.checkpoints`): no
consumer group is joined, so no rebalance ever moves a partition, and no broker transaction is
needed.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.log.ports import (
    Headers,
    LogError,
    LogReader,
    LogWriter,
    Partition,
    RecordBatch,
    Topic,
)
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.settings import KafkaSettings

logger = logging.getLogger(__name__)

FETCH_MAX_WAIT_MS = 50
"""How long the broker holds an empty fetch. Bounds the wait of `close`, not the latency of data."""

ENVELOPE_BYTES = 16_384
"""Room for key, headers and framing beside a value of the largest size, so that whatever a topic
took as an event it also takes as a dead letter, which has more headers."""

KEEP_FOREVER = {"retention.ms": "-1"}
"""Replays carry the time the event happened; a broker's default would expire them on arrival."""


class KafkaLog:
    """Makes readers, writers and topics on the broker named by the settings."""

    def __init__(self, settings: KafkaSettings) -> None:
        """`settings.bootstrap_servers` must be set."""
        assert settings.bootstrap_servers, "the embedded broker's address is filled in by its owner"
        self._settings = settings

    def create_topics(self, topics: Sequence[Topic]) -> None:
        with _explained(self._settings):
            admin = KafkaAdminClient(**_connection(self._settings))
        try:
            for topic in topics:
                self._create_topic(admin, topic)
        finally:
            admin.close()

    def _create_topic(self, admin: Any, topic: Topic) -> None:
        max_bytes = self._settings.max_message_bytes + ENVELOPE_BYTES
        configs = {**KEEP_FOREVER, "max.message.bytes": str(max_bytes)}
        wanted = {
            "num_partitions": topic.num_partitions,
            "replication_factor": self._settings.replication_factor,
            "configs": configs,
        }
        try:
            with _explained(self._settings):
                admin.create_topics({topic.name: wanted}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            have = len(admin.describe_topics([topic.name])[0]["partitions"])
            if have != topic.num_partitions:
                raise LogError(
                    f"topic {topic.name} has {have} partitions and the settings say "
                    f"{topic.num_partitions}: set kafka.num_partitions={have} or use another topic"
                ) from None

    def partitions(self, topic: str) -> list[Partition]:
        with _explained(self._settings):
            consumer = KafkaConsumer(**_connection(self._settings))
        try:
            return sorted(Partition(topic, i) for i in consumer.partitions_for_topic(topic) or ())
        finally:
            consumer.close(autocommit=False)

    def reader(self, name: str) -> LogReader:
        return _KafkaReader(self._settings, name)

    def writer(self) -> LogWriter:
        return _KafkaWriter(self._settings)


MAX_IDLE_PAUSES = 5
"""The longer nothing comes, the longer an idle reader pauses, up to so many first pauses."""


class _KafkaReader:
    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._idle_pause_s = settings.idle_pause_ms / 1000
        with _explained(settings):
            self._consumer = KafkaConsumer(
                **_connection(settings),
                group_id=name,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
                max_partition_fetch_bytes=settings.max_message_bytes,
            )

    def assign(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        topic_partitions = [TopicPartition(*partition) for partition in positions]
        self._consumer.assign(topic_partitions)
        first = self._consumer.beginning_offsets(topic_partitions)
        end = self._consumer.end_offsets(topic_partitions)
        taken = {}
        for partition, position in positions.items():
            assigned = TopicPartition(*partition)
            nearest = min(max(position, first[assigned]), end[assigned])
            if nearest != position:
                warnings.warn(
                    f"{partition.topic}[{partition.number}] holds offsets {first[assigned]} to "
                    f"{end[assigned]}, not {position}: going on from {nearest}",
                    stacklevel=2,
                )
            self._consumer.seek(assigned, nearest)
            taken[partition] = nearest
        return taken

    def poll(self, timeout_s: float, max_records: int) -> list[RecordBatch]:
        polled = self._poll(int(timeout_s * 1000), max_records)
        return [
            _record_batch(Partition(polled_from.topic, polled_from.partition), records)
            for polled_from, records in polled.items()
            if records
        ]

    def _poll(self, timeout_ms: int, max_records: int) -> Any:
        if not self._idle_pause_s:
            return self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        deadline = time.monotonic() + timeout_ms / 1000
        pause_s = self._idle_pause_s
        while not (polled := self._consumer.poll(timeout_ms=0, max_records=max_records)):
            if time.monotonic() >= deadline:
                break
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, MAX_IDLE_PAUSES * self._idle_pause_s)
        return polled

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        ends = self._consumer.end_offsets([TopicPartition(*p) for p in partitions])
        return {partition: ends[TopicPartition(*partition)] for partition in partitions}

    def commit(self, positions: Mapping[Partition, int]) -> None:
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(position, "", -1)
            for partition, position in positions.items()
        }
        self._consumer.commit_async(offsets, callback=_log_failed_commit)

    def close(self) -> None:
        self._consumer.close(autocommit=False)


def _record_batch(partition: Partition, records: Sequence[Any]) -> RecordBatch:
    """Columns of the client's objects, one per record."""
    return RecordBatch(
        partition,
        values=pa.array([record.value for record in records], pa.large_binary()),
        keys=pa.array([record.key for record in records], pa.large_binary()),
        offsets=np.array([record.offset for record in records], np.int64),
        timestamps_ms=np.array([_timestamp_ms(record) for record in records], np.int64),
        next_offset=records[-1].offset + 1,
        headers_of=lambda position: tuple(records[position].headers),
    )


def _timestamp_ms(record: Any) -> int:
    """The oldest message format has no time at all."""
    return NO_TIMESTAMP_MS if record.timestamp is None else int(record.timestamp)


def _log_failed_commit(_offsets: Any, answer: Any) -> None:
    """A lost commit costs a lag tool one reading and us nothing."""
    if isinstance(answer, Exception):
        logger.warning("publishing positions for lag tools failed: %s", answer)


class _KafkaWriter:
    def __init__(self, settings: KafkaSettings) -> None:
        with _explained(settings):
            self._producer = KafkaProducer(
                **_connection(settings),
                max_request_size=settings.max_message_bytes + ENVELOPE_BYTES,
                batch_size=128 * 1024,
                linger_ms=2,
                max_block_ms=int(settings.confirm_timeout_s * 1000),
            )
        self._confirm_timeout_s = settings.confirm_timeout_s
        self._max_bytes = settings.max_message_bytes
        self._refused: list[Exception] = []

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        num_bytes = len(value or b"")
        if num_bytes > self._max_bytes:
            raise ValueError(
                f"{num_bytes} bytes are more than kafka.max_message_bytes ({self._max_bytes})"
            )
        try:
            sent = self._producer.send(topic, value=value, key=key, headers=list(headers))
        except KafkaError as error:
            raise LogError(
                f"the broker took no record in {self._confirm_timeout_s:g} s: {error}"
            ) from error
        sent.add_errback(self._refused.append)

    def flush(self) -> None:
        try:
            self._producer.flush(timeout=self._confirm_timeout_s)
        except KafkaError as error:
            raise LogError(
                f"the broker did not confirm in {self._confirm_timeout_s:g} s: {error}"
            ) from error
        refused, self._refused = self._refused, []
        if refused:
            raise LogError(f"the broker did not take {len(refused)} records: {refused[0]}")

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._producer.close(timeout=5)


def _connection(settings: KafkaSettings) -> dict[str, Any]:
    """What every client of kafka-python needs to reach the broker."""
    password = settings.sasl_password.get_secret_value() if settings.sasl_password else None
    options = {
        "bootstrap_servers": (settings.bootstrap_servers or "").split(","),
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password,
        "ssl_cafile": str(settings.ssl_cafile) if settings.ssl_cafile else None,
    }
    return {name: value for name, value in options.items() if value is not None}


class _explained:
    """Turns the client's "cannot connect" into a message that says what to look at."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KafkaError) and not isinstance(error, TopicAlreadyExistsError):
            credentials = (
                "; a wrong SASL user or password looks the same"
                if self._settings.security_protocol.startswith("SASL")
                else ""
            )
            raise LogError(
                f"no Kafka broker answers at {self._settings.bootstrap_servers} over "
                f"{self._settings.security_protocol} ({error}): check that it runs and that "
                f"kafka.bootstrap_servers and kafka.security_protocol are right{credentials}"
            ) from error
