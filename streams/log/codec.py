"""Bytes of the log to typed columns, and back.

A record that is not what its type says is set aside with the reason and the others go on. What a
shop usually sends is read by a compiled loop (`streams.log.json_walk`); what that does not
understand, by msgspec, which decides (`docs/adr/0002-json-decoding.md`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from reaseq.events import Event, Item
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.event_times import ANY_TIME, EventTimes
from streams.log.json_walk import JsonWalk
from streams.log.placement import Placement
from streams.log.record_batch import RecordBatch

RecordType = TypeVar("RecordType", bound=msgspec.Struct)


class Reject(NamedTuple):
    """A value that could not be decoded: its position among those given, and why."""

    position: int
    reason: str


class Decoded(NamedTuple):
    """The good values as a table, in order, and the bad ones by position."""

    table: pa.Table
    rejects: list[Reject]


class Codec(Generic[RecordType]):
    """Translates between JSON values and tables for one record type."""

    def __init__(
        self,
        record_type: type[RecordType],
        schema: pa.Schema,
        max_bytes: int,
        times: EventTimes = ANY_TIME,
        placement: Placement | None = None,
    ) -> None:
        """A value longer than `max_bytes` is rejected unread.

        With `placement` a record has a `user_id`, who must live in the partition it lies in.
        """
        self.times = times
        self._placement = placement
        self._walk = JsonWalk(record_type, schema)
        self._decoder = msgspec.json.Decoder(record_type)
        self._encoder = msgspec.json.Encoder()
        self._schema = schema
        self._max_bytes = max_bytes

    def encode(self, record: RecordType) -> bytes:
        """One record as JSON."""
        return self._encoder.encode(record)

    def encode_rows(self, table: pa.Table) -> Iterable[bytes]:
        """Each row of a table as JSON; missing values are left out."""
        for row in table.to_pylist():
            yield self._encoder.encode({k: v for k, v in row.items() if v is not None})

    def decode_batch(self, batch: RecordBatch, now_ms: int | None = None) -> Decoded:
        """Decode the values of a batch; reject those whose time or place is not believed."""
        decoded = self.decode(batch.values)
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        positions = np.delete(np.arange(len(batch)), [one.position for one in decoded.rejects])
        times_ms = decoded.table["event_time_ms"].to_numpy()
        latest_ms = self.times.latest_ms(batch.timestamps_ms[positions], now_ms)
        reasons = {
            int(row): self.times.reason(int(times_ms[row]), int(latest_ms[row]))
            for row in self.times.refused(times_ms, latest_ms)
        }
        if self._placement is not None:
            users, number = decoded.table["user_id"], batch.partition.number
            for row in self._placement.misplaced(users, number).tolist():
                reasons.setdefault(row, self._placement.reason(users[row].as_py(), number))
        if not reasons:
            return decoded
        kept = np.delete(np.arange(decoded.table.num_rows), list(reasons))
        refused = [Reject(int(positions[row]), why) for row, why in reasons.items()]
        rejects = sorted(decoded.rejects + refused, key=attrgetter("position"))
        return Decoded(decoded.table.take(kept), rejects)

    def decode(self, values: ByteSlices) -> Decoded:
        """Decode the values of a `RecordBatch`; nothing raises, whatever the bytes are."""
        table, is_read = self._walk.read(values, self._max_bytes)
        if is_read.all():
            return Decoded(table, [])
        records, positions, rejects = [], [], []
        for position in np.flatnonzero(~is_read).tolist():
            try:
                records.append(self._decode_one(values[position]))
                positions.append(position)
            except (ValueError, RecursionError) as error:
                rejects.append(Reject(position, _reason(error)))
        both = pa.concat_tables([table, self._to_table(records)])
        order = np.argsort(np.concatenate([np.flatnonzero(is_read), positions]), kind="stable")
        return Decoded(both.take(order), rejects)

    def _decode_one(self, value: bytes | None) -> RecordType:
        if value is None:
            raise ValueError("no value: a tombstone means nothing here")
        if len(value) > self._max_bytes:
            raise ValueError(f"{len(value)} bytes, more than the {self._max_bytes} allowed")
        return self._decoder.decode(value)

    def _to_table(self, records: list[RecordType]) -> pa.Table:
        columns = [
            pa.array(list(map(attrgetter(field.name), records)), type=field.type)
            for field in self._schema
        ]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error)


def event_codec(
    max_bytes: int, times: EventTimes = ANY_TIME, placement: Placement | None = None
) -> Codec[Event]:
    """The codec of the topic of events."""
    return Codec(Event, EVENT_SCHEMA, max_bytes, times, placement)


def item_codec(
    max_bytes: int, times: EventTimes = ANY_TIME, _placement: Placement | None = None
) -> Codec[Item]:
    """The codec of the topic of items, which may lie anywhere."""
    return Codec(Item, ITEM_SCHEMA, max_bytes, times)
