"""The log on a real broker, through kafka-python.

Partitions are assigned explicitly and positions are ours (`streams.shards.checkpoints`): no
consumer group is joined, so no rebalance ever moves a partition, and no broker transaction is
needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
)
from kafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
)

from streams.log.kafka_client import connection, explained
from streams.log.kafka_reader import KafkaReader
from streams.log.ports import (
    Headers,
    LogError,
    LogReader,
    LogWriter,
    Partition,
    RecordTooLargeError,
    Topic,
)
from streams.log.record_size import max_record_bytes, record_bytes
from streams.settings import KafkaSettings

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

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
        max_bytes = str(max_record_bytes(self._settings.max_message_bytes))
        configs = {**KEEP_FOREVER, "max.message.bytes": max_bytes}
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


CLOSE_TIMEOUT_S = 5.0
"""Within which a producer's thread ends by itself, and lets its sockets go."""


class _KafkaWriter:
    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._max_bytes = max_record_bytes(settings.max_message_bytes)
        self._confirm_timeout_s = settings.confirm_timeout_s
        self._refused: list[Exception] = []
        self._producer = self._connected()

    def _connected(self) -> KafkaProducer:
        with explained(self._settings):
            return KafkaProducer(
                **connection(self._settings),
                max_request_size=self._max_bytes,
                batch_size=128 * 1024,
                linger_ms=2,
                max_block_ms=int(self._confirm_timeout_s * 1000),
            )

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        num_bytes = record_bytes(value, key, headers)
        if num_bytes > self._max_bytes:
            raise RecordTooLargeError(
                f"a record of {num_bytes} bytes with its key and headers is more than the "
                f"{self._max_bytes} that kafka.max_message_bytes leaves room for"
            )
        if key is None and value is None:
            value = b""  # the client refuses what the format allows
        with_values = [(name, header or b"") for name, header in headers]
        try:
            sent = self._producer.send(topic, value=value, key=key, headers=with_values)
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
            self._begin_anew()
            is_size = all(isinstance(error, _TOO_LARGE) for error in refused)
            raise (RecordTooLargeError if is_size else LogError)(
                f"the broker did not take {len(refused)} records: {refused[0]}"
            )

    def _begin_anew(self) -> None:
        """Replace the producer: after a record that the broker refused it never sends again."""
        with suppress(LogError, KafkaError):  # the broker is away: the old one is as good
            refused, self._producer = self._producer, self._connected()
            refused.close(timeout=CLOSE_TIMEOUT_S)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._producer.close(timeout=CLOSE_TIMEOUT_S)
