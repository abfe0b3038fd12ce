"""kafka-python's consumer without an object per record.

The client's own fetcher does everything that a client must: sessions, security, offsets, checksums,
control batches, aborted transactions. Only, of each record batch it is shown one record: the last,
whose value is the batch as a whole. `columns_of` turns such values into columns.

This leans on names of the client that are not its public face, at a pinned version. Where they are
missing `fetch_whole_batches` says so, and the reader takes records as objects.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from kafka import KafkaConsumer
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch

from reaseq.types import Bytes
from streams.log.byte_slices import ByteSlices
from streams.log.record_batch import Headers, Partition, RecordBatch
from streams.log.record_walk import (
    Batches,
    MalformedBatchError,
    find_records,
    read_varint,
)

logger = logging.getLogger(__name__)

MAGIC_OF_FORMAT_2 = 2


class WholeBatch:
    """One uncompressed batch, read from `from_offset` on; to the client a record's value."""

    def __init__(self, batch: Any, from_offset: int) -> None:
        self.from_offset = from_offset
        self.num_records = int(batch.records_count)
        self.base_offset = int(batch.base_offset)
        self.next_offset = int(batch.next_offset)
        self.base_time_ms = int(batch.first_timestamp)
        is_appended = batch.timestamp_type == DefaultRecordBatch.LOG_APPEND_TIME
        self.append_time_ms = int(batch.max_timestamp) if is_appended else -1
        batch._maybe_uncompress()
        self.content = memoryview(batch._buffer)[batch._pos :]

    def __len__(self) -> int:
        """Bytes, for the client's metrics."""
        return len(self.content)


class _OnlyRecord:
    """What the client is shown in place of a batch's records."""

    key = None
    headers: Headers = ()
    checksum = None

    def __init__(self, batch: Any, from_offset: int) -> None:
        self.offset = batch.last_offset
        self.timestamp = batch.max_timestamp
        self.timestamp_type = batch.timestamp_type
        self.size_in_bytes = batch.size_in_bytes
        self.value = WholeBatch(batch, from_offset)

    def validate_crc(self) -> bool:
        """The batch has one for all its records, and the client has looked at it."""
        return True


class _BatchOfOne:
    """A batch as the client sees it, except that it holds one record."""

    def __init__(self, batch: Any, from_offset: int) -> None:
        self._batch = batch
        self._from_offset = from_offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[_OnlyRecord]:
        if self._batch.records_count:
            yield _OnlyRecord(self._batch, self._from_offset)

    def __next__(self) -> Any:
        """The marker in a control batch."""
        return next(self._batch)


class _WholeBatches:
    """The client's stream of batches, those of format 2 shown as one record each."""

    def __init__(self, records: Any, from_offset: int) -> None:
        self._records = records
        self._from_offset = from_offset

    def next_batch(self) -> Any:
        """The next batch, None at the end."""
        batch = self._records.next_batch()
        if batch is None or batch.magic != MAGIC_OF_FORMAT_2:
            return batch
        return _BatchOfOne(batch, self._from_offset)


def fetch_whole_batches(consumer: KafkaConsumer) -> bool:
    """Let a consumer's polls bring whole batches; False, with a warning, where that cannot be."""
    try:
        fetcher = consumer._fetcher
        of_client = fetcher.PartitionRecords
        for name in ("_maybe_uncompress", "_buffer", "_pos", "records_count", "next_offset"):
            getattr(DefaultRecordBatch, name)
    except AttributeError as error:
        logger.warning("this kafka-python has no %s: reading records one by one", error)
        return False

    class PartitionRecords(of_client):  # type: ignore[misc, valid-type]
        def __init__(self, fetch_offset: int, tp: Any, records: Any, **options: Any) -> None:
            whole = _WholeBatches(records, fetch_offset)
            super().__init__(fetch_offset, tp, whole, **options)

    fetcher.PartitionRecords = PartitionRecords
    find_records(np.frombuffer(b"", np.uint8), Batches(*[np.empty(0, np.int64)] * 6))  # compiles
    return True


def columns_of(partition: Partition, batches: Sequence[WholeBatch]) -> RecordBatch:
    """The records of some batches that follow each other."""
    data = _joined([batch.content for batch in batches])
    ends = np.cumsum([len(batch) for batch in batches])
    table = Batches(
        begins=ends - [len(batch) for batch in batches],
        ends=ends,
        num_records=np.array([batch.num_records for batch in batches]),
        base_offsets=np.array([batch.base_offset for batch in batches]),
        base_times_ms=np.array([batch.base_time_ms for batch in batches]),
        append_times_ms=np.array([batch.append_time_ms for batch in batches]),
    )
    try:
        found = find_records(data, table)
    except MalformedBatchError as error:
        raise CorruptRecordError(f"{partition.topic}[{partition.number}]: {error}") from error
    # A fetch brings whole batches; the records before the position are in the first.
    skipped = int(np.searchsorted(found.offsets, batches[0].from_offset))
    offsets, times_ms, key_starts, key_ends, value_starts, value_ends, header_starts = (
        column[skipped:] for column in found
    )
    return RecordBatch(
        partition,
        values=ByteSlices(data, value_starts, value_ends),
        keys=ByteSlices(data, key_starts, key_ends),
        offsets=offsets,
        timestamps_ms=times_ms,
        next_offset=batches[-1].next_offset,
        headers_of=lambda position: _headers(data, int(header_starts[position])),
    )


def _joined(contents: Sequence[memoryview]) -> Bytes:
    content = contents[0] if len(contents) == 1 else b"".join(contents)
    return np.frombuffer(memoryview(content).toreadonly(), np.uint8)


def _headers(data: Bytes, position: int) -> Headers:
    """The headers of one record; a header without a value has an empty one."""
    end = len(data)
    num_headers, position = read_varint(data, position, end)
    headers = []
    for _ in range(num_headers):
        length, position = read_varint(data, position, end)
        name = data[position : position + length].tobytes().decode(errors="replace")
        position += length
        length, position = read_varint(data, position, end)
        headers.append((name, data[position : position + max(length, 0)].tobytes()))
        position += max(length, 0)
    return tuple(headers)
