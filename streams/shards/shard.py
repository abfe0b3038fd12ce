"""A shard: fixed partitions, followed from the log to what is kept of them.

One step is fetch → decode → set bad records aside → apply → write. Positions and state are
checkpointed together, after their effects; a crash anywhere repeats a step, and every effect bears
being repeated. What "apply" means is the handler's: user sequences, or the catalogue.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.log.codec import Codec
from streams.log.dead_letters import DeadLetters
from streams.log.ports import LogReader, Partition, RecordBatch
from streams.settings import StreamSettings
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress

FRESHNESS_SAMPLES = 4096
"""Newest records whose age at the time of writing is kept for the percentiles."""


class Handler(Protocol):
    """What a shard does with the decoded columns of its partitions."""

    def restore(self, partition: Partition, rows: pa.Table | None) -> None:
        """Take up a partition from the rows its last checkpoint kept (None: from nothing)."""

    def apply(self, partition: Partition, table: pa.Table) -> int:
        """Take in new records in log order; return how many changed anything."""

    def write(self) -> None:
        """Make everything applied readable online."""

    def checkpoint(self, partition: Partition, part: str) -> pa.Table | None:
        """Make what was applied since the last time durable; return the state rows to keep.

        After a crash the same records come again under the same `part`, which must then replace
        what was made durable before.
        """


class Shard:
    """Runs one handler over fixed partitions of the log."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        reader: LogReader,
        codec: Codec[Any],
        handler: Handler,
        dead_letters: DeadLetters,
        checkpoints: Checkpoints,
        settings: StreamSettings,
    ) -> None:
        self._reader = reader
        self._codec = codec
        self._handler = handler
        self._dead_letters = dead_letters
        self._checkpoints = checkpoints
        self._settings = settings
        self._progress = {partition: Progress(next_offset=0) for partition in partitions}
        self._dirty: set[Partition] = set()
        self._saved_at = time.monotonic()
        self._freshness_ms = np.empty(0)

    def restore(self) -> None:
        """Load every partition's checkpoint and read on from there."""
        for partition in self._progress:
            kept = self._checkpoints.load(partition) or self._begin(partition, 0)
            self._handler.restore(partition, kept.rows)
            self._progress[partition] = kept.progress
        for partition, position in self._reader.assign(self.positions).items():
            if position != self._progress[partition].next_offset:
                self._progress[partition] = msgspec.structs.replace(
                    self._progress[partition], next_offset=position, epoch=_new_epoch()
                )
                self._dirty.add(partition)

    def _begin(self, partition: Partition, position: int) -> Checkpoint:
        """Save a first checkpoint, so that even the first records have a part to be repeated in."""
        begun = Checkpoint(Progress(next_offset=position, epoch=_new_epoch()), None)
        self._checkpoints.save(partition, begun)
        return begun

    @property
    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return {partition: p.next_offset for partition, p in self._progress.items()}

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Follow the log until told to stop, then checkpoint once more."""
        while not should_stop():
            self.step()
            if time.monotonic() - self._saved_at >= self._settings.checkpoint_interval_s:
                self.checkpoint()
        self.checkpoint()

    def step(self) -> int:
        """Take in what has arrived; return the number of records."""
        batches = self._reader.poll(self._settings.poll_timeout_s, self._settings.max_poll_records)
        for batch in batches:
            self._take(batch)
        if batches:
            self._handler.write()
            self._note_freshness(batches)
        return sum(map(len, batches))

    def checkpoint(self) -> None:
        """Keep state and positions of every partition that moved since the last time."""
        for partition in sorted(self._dirty):
            self._save(partition)
        if self._dirty:
            self._reader.commit({p: self.positions[p] for p in self._dirty})
        self._dirty.clear()
        self._saved_at = time.monotonic()

    def _take(self, batch: RecordBatch) -> None:
        decoded = self._codec.decode(batch.values)
        self._dead_letters.put(batch, decoded.rejects)
        accepted = self._handler.apply(batch.partition, decoded.table)
        before = self._progress[batch.partition]
        self._progress[batch.partition] = msgspec.structs.replace(
            before,
            next_offset=batch.next_offset,
            counters=before.counters.plus(len(batch), accepted, len(decoded.rejects)),
            newest_event_time_ms=max(before.newest_event_time_ms, _newest_ms(decoded.table)),
        )
        self._dirty.add(batch.partition)

    def _save(self, partition: Partition) -> None:
        kept = self._checkpoints.progress(partition)
        assert kept is not None, "restore saves a first checkpoint"
        now = self._progress[partition]
        part = f"{partition.topic}-{partition.number}-{now.epoch}-{kept.next_offset:020d}"
        rows = self._handler.checkpoint(partition, part)
        p50_ms, p99_ms = np.percentile(self._freshness_ms, [50, 99])
        progress = msgspec.structs.replace(
            now,
            saved_at_ms=time.time_ns() // 1_000_000,
            freshness_p50_ms=float(p50_ms),
            freshness_p99_ms=float(p99_ms),
        )
        self._checkpoints.save(partition, Checkpoint(progress, rows))

    def _note_freshness(self, batches: Sequence[RecordBatch]) -> None:
        now_ms = time.time() * 1000
        ages_ms = [now_ms - batch.timestamps_ms for batch in batches]
        kept = np.concatenate([self._freshness_ms, *ages_ms])
        self._freshness_ms = kept[-FRESHNESS_SAMPLES:]


def _new_epoch() -> str:
    return uuid.uuid4().hex[:8]


def _newest_ms(table: pa.Table) -> int:
    return pc.max(table["event_time_ms"]).as_py() or 0


def deal(partitions: Sequence[Partition], num_shards: int) -> list[list[Partition]]:
    """Deal partitions out to at most `num_shards` shards, round about; none stays empty-handed."""
    hands = [list(partitions[start::num_shards]) for start in range(num_shards)]
    return [hand for hand in hands if hand]
