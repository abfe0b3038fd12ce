"""Reading fixed partitions through kafka-python, by column."""

from __future__ import annotations

import logging
import time
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from streams.log.kafka_client import codecs_named, connection, explained
from streams.log.kafka_columns import WholeBatch, columns_of, fetch_whole_batches
from streams.log.ports import KnownTopic, Partition, Record, RecordBatch
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.settings import KafkaSettings

logger = logging.getLogger(__name__)

FETCH_MAX_WAIT_MS = 500
"""How long the broker holds an empty fetch: how often an idle reader asks, and at most what `close`
waits. Data does not wait for it."""

METADATA_MAX_AGE_MS = 30_000
"""How late partitions that were added are noticed; a topic made again is at the first error."""

MAX_IDLE_PAUSES = 5
"""The longer nothing comes, the longer an idle reader pauses, up to so many first pauses."""


class KafkaReader:
    """A `LogReader` on a broker; records of aborted transactions are not read."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        """Connect. Raises LogError, as every method does when the broker does not answer."""
        self._settings = settings
        self._idle_pause_s = settings.idle_pause_ms / 1000
        with explained(settings):
            self._consumer = KafkaConsumer(
                **connection(settings),
                group_id=name,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
                max_partition_fetch_bytes=settings.max_message_bytes,
            )
        self._is_whole = settings.fetch == "batches" and fetch_whole_batches(self._consumer)
        self._records_per_batch = 1000.0
        self._positions: dict[Partition, int] = {}
        self._waiting: deque[RecordBatch] = deque()

    def assign(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        self._consumer.assign([TopicPartition(*partition) for partition in positions])
        first, end = self.start_offsets(list(positions)), self.end_offsets(list(positions))
        taken = {}
        for partition, position in positions.items():
            nearest = min(max(position, first[partition]), end[partition])
            if nearest != position:
                warnings.warn(
                    f"{partition.topic}[{partition.number}] holds offsets {first[partition]} to "
                    f"{end[partition]}, not {position}: going on from {nearest}",
                    stacklevel=2,
                )
            self._consumer.seek(TopicPartition(*partition), nearest)
            taken[partition] = nearest
        self._positions = dict(taken)
        self._waiting.clear()
        return taken

    def poll(self, timeout_s: float, max_records: int) -> list[RecordBatch]:
        if not self._waiting:
            self._waiting.extend(self._fetch(timeout_s, max_records))
        return list(self._take(max_records))

    def _take(self, max_records: int) -> Iterable[RecordBatch]:
        """Of what was fetched so many records; a batch may hold more than a caller wants."""
        while self._waiting and max_records > 0:
            batch = self._waiting.popleft()
            if len(batch) > max_records:
                batch, rest = batch.split(max_records)
                self._waiting.appendleft(rest)
            max_records -= max(1, len(batch))
            yield batch

    def _fetch(self, timeout_s: float, max_records: int) -> list[RecordBatch]:
        """What has arrived; where the position only passed hidden records, an empty batch."""
        per_item = self._records_per_batch if self._is_whole else 1.0
        with explained(self._settings), codecs_named():
            polled = self._poll(int(timeout_s * 1000), max(1, int(max_records / per_item)))
        found = {Partition(of.topic, of.partition): records for of, records in polled.items()}
        batches = []
        for partition in found if found else self._positions:
            moved_to = self._consumer.position(TopicPartition(*partition))
            batches += self._batches(partition, found.get(partition, []), moved_to)
        return batches

    def _batches(
        self, partition: Partition, polled: Sequence[Any], moved_to: int
    ) -> list[RecordBatch]:
        whole = [record.value for record in polled if isinstance(record.value, WholeBatch)]
        single = [record for record in polled if not isinstance(record.value, WholeBatch)]
        batches = [_record_batch(partition, single)] if single else []
        if whole:
            num_records = sum(batch.num_records for batch in whole)
            self._records_per_batch = 0.5 * (self._records_per_batch + num_records / len(whole))
            # A topic goes over from old batches to new ones, never back.
            batches.append(columns_of(partition, whole))
        is_back = bool(batches) and batches[0].offsets[0] < self._positions[partition]
        if is_back or moved_to > self._positions[partition]:
            self._positions[partition] = moved_to
            if batches:
                batches[-1] = batches[-1].up_to(moved_to)
            else:
                batches = [RecordBatch.from_records(partition, [], moved_to)]
        return batches

    def _poll(self, timeout_ms: int, max_items: int) -> Any:
        if not self._idle_pause_s:
            return self._consumer.poll(timeout_ms=timeout_ms, max_records=max_items)
        deadline = time.monotonic() + timeout_ms / 1000
        pause_s = self._idle_pause_s
        while not (polled := self._consumer.poll(timeout_ms=0, max_records=max_items)):
            if time.monotonic() >= deadline:
                break
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, MAX_IDLE_PAUSES * self._idle_pause_s)
        return polled

    def lag(self) -> int:
        num_behind = sum(map(len, self._waiting))
        for partition, position in self._positions.items():
            end = self._consumer.highwater(TopicPartition(*partition))
            num_behind += 0 if end is None else max(0, int(end) - position)
        return num_behind

    def known(self, topic: str) -> KnownTopic:
        with explained(self._settings):
            numbers = self._consumer.partitions_for_topic(topic) or ()
        topic_id = self._consumer._cluster.topic_id(topic)
        return KnownTopic("" if topic_id is None else str(topic_id), len(numbers))

    def start_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        with explained(self._settings):
            starts = self._consumer.beginning_offsets([TopicPartition(*p) for p in partitions])
        return {partition: starts[TopicPartition(*partition)] for partition in partitions}

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        with explained(self._settings):
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
    return RecordBatch.from_records(
        partition,
        [Record(r.offset, _timestamp_ms(r), r.key, r.value, tuple(r.headers)) for r in records],
        records[-1].offset + 1,
    )


def _timestamp_ms(record: Any) -> int:
    """The oldest message format has no time at all."""
    return NO_TIMESTAMP_MS if record.timestamp is None else int(record.timestamp)


def _log_failed_commit(_offsets: Any, answer: Any) -> None:
    """A lost commit costs a lag tool one reading and us nothing."""
    if isinstance(answer, Exception):
        logger.warning("publishing positions for lag tools failed: %s", answer)
