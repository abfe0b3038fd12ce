"""The log on a real broker, through kafka-python.

Partitions are assigned explicitly and positions are ours (`streams.shards.checkpoints`): no
consumer group is joined, so no rebalance ever moves a partition, and no broker transaction is
needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
)
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.log.kafka_client import connection, explained
from streams.log.kafka_reader import KafkaReader
from streams.log.ports import (
    ENVELOPE_BYTES,
    Headers,
    LogError,
    LogReader,
    LogWriter,
    Partition,
    Topic,
    check_size,
)
from streams.settings import KafkaSettings

KEEP_FOREVER = {"retention.ms": "-1"}
"""Replays carry the time the event happened; a broker's default would expire them on arrival."""


class KafkaLog:
    """Makes readers, writers and topics on the broker named by the settings."""

    def __init__(self, settings: KafkaSettings) -> None:
        """`settings.bootstrap_servers` must be set."""
        assert settings.bootstrap_servers, "the embedded broker's address is filled in by its owner"
        self._settings = settings

    def create_topics(self, topics: Sequence[Topic]) -> None:
        with explained(self._settings):
            admin = KafkaAdminClient(**connection(self._settings))
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
            with explained(self._settings):
                admin.create_topics({topic.name: wanted}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            have = len(admin.describe_topics([topic.name])[0]["partitions"])
            if have != topic.num_partitions:
                raise LogError(
                    f"topic {topic.name} has {have} partitions and the settings say "
                    f"{topic.num_partitions}: set kafka.num_partitions={have} or use another topic"
                ) from None

    def partitions(self, topic: str) -> list[Partition]:
        with explained(self._settings):
            consumer = KafkaConsumer(**connection(self._settings))
        try:
            return sorted(Partition(topic, i) for i in consumer.partitions_for_topic(topic) or ())
        finally:
            consumer.close(autocommit=False)

    def reader(self, name: str) -> LogReader:
        return KafkaReader(self._settings, name)

    def writer(self) -> LogWriter:
        return _KafkaWriter(self._settings)


class _KafkaWriter:
    def __init__(self, settings: KafkaSettings) -> None:
        with explained(settings):
            self._producer = KafkaProducer(
                **connection(settings),
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
        check_size(value, key, headers, self._max_bytes)
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
