"""A shard: fixed partitions of a topic, followed from the log to what is kept of them.

One step is fetch → decode → set bad records aside → apply → write; while the shard is behind,
several steps are written together. Positions and state are checkpointed after their effects; a
crash anywhere repeats steps, and every effect bears being repeated. What "apply" means is for the
topic's handlers to say (`streams.shards.topology`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.types import Int64s
from streams.erasure.erased_users import NOBODY, ErasedUsers, stay
from streams.log.codec import Codec
from streams.log.dead_letters import DeadLetters
from streams.log.ports import KnownTopic, LogReader, Partition, RecordBatch
from streams.offline.tables import Commit
from streams.settings import StreamSettings
from streams.shards.checkpoints import NO_KEYS, Checkpoint, Checkpoints, Progress
from streams.shards.freshness import Freshness, youngest_s
from streams.shards.handlers.port import Arrivals, Handler
from streams.shards.log_changes import gone_back, in_topic, new_epoch, without_lost

logger = logging.getLogger(__name__)

COLLECTED_SHARE_OF_LAG = 0.25
"""Part of a shard's lag that it adds by writing a user once for several changes."""


class Shard:
    """Runs the handlers of a topic, in their order, over fixed partitions of the log."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        reader: LogReader,
        codec: Codec[Any],
        handlers: Sequence[Handler],
        dead_letters: DeadLetters,
        checkpoints: Checkpoints,
        settings: StreamSettings,
        erased: ErasedUsers = NOBODY,
    ) -> None:
        """`reader` and `dead_letters` are the shard's own; `close` closes them.

        The counter of accepted records follows the first handler.
        """
        names = [handler.name for handler in handlers]
        assert len(set(names)) == len(names) > 0, f"handlers need names of their own: {names}"
        (self._topic,) = {partition.topic for partition in partitions}
        self._known = KnownTopic("", 0)
        self._reader = reader
        self._codec = codec
        self._handlers = handlers
        self._dead_letters = dead_letters
        self._checkpoints = checkpoints
        self._settings = settings
        self._erased = erased
        self._progress = {partition: Progress(next_offset=0) for partition in partitions}
        self._dirty: set[Partition] = set()
        self._saved_at = time.monotonic()
        self._unwritten_ms: list[Int64s] = []
        self._written_at = time.monotonic()
        self._freshness = Freshness()

    def restore(self) -> None:
        """Load every partition's checkpoint and read on from there."""
        self._known = self._reader.known(self._topic)
        self._erased.refresh()
        new = set()
        for partition in self._progress:
            kept = self._checkpoints.claim(partition)
            if kept is None:
                kept = self._begin(partition)
                new.add(partition)
            self._restore_handlers(partition, kept)
            self._progress[partition] = kept.progress
            self._forget(partition)
        self._follow(new)

    def _follow(self, new: Collection[Partition] = ()) -> None:
        """Read on from the positions; `new` are partitions that were never read."""
        for partition, before in self._progress.items():
            self._move(partition, in_topic(partition, before, self._known))
        for partition, position in self._reader.assign(self.positions).items():
            before = self._progress[partition]
            if position != before.next_offset:
                # What left the log before anybody began to read it is not lost.
                start = 0 if partition in new else position
                after = without_lost(partition, before, start)
                epoch = new_epoch(before.epoch)
                self._move(
                    partition, msgspec.structs.replace(after, next_offset=position, epoch=epoch)
                )

    def _move(self, partition: Partition, progress: Progress) -> None:
        if progress != self._progress[partition]:
            self._progress[partition] = progress
            self._dirty.add(partition)

    def _begin(self, partition: Partition) -> Checkpoint:
        """Save a first checkpoint, so that even the first records come again in one epoch."""
        states = dict.fromkeys(handler.name for handler in self._handlers)
        first = Progress(next_offset=0, epoch=new_epoch())
        begun = Checkpoint(in_topic(partition, first, self._known), states)
        self._checkpoints.save(partition, begun)
        return begun

    def _restore_handlers(self, partition: Partition, kept: Checkpoint) -> None:
        for handler in self._handlers:
            if handler.name not in kept.states:
                logger.warning(
                    "the handler %s is new to %s[%d]: it begins at offset %d, with no state",
                    handler.name,
                    *partition,
                    kept.progress.next_offset,
                )
            handler.restore(partition, kept.states.get(handler.name))

    def _forget(self, partition: Partition) -> None:
        """Let users go that were erased since the checkpoint; the next one has nothing of them."""
        if self._progress[partition].erased_version < self._erased.version:
            for handler in self._handlers:
                handler.forget(partition, self._erased.hashes())
            self._dirty.add(partition)

    @property
    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return {partition: p.next_offset for partition, p in self._progress.items()}

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Follow the log until stopped, then checkpoint once more."""
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
        self._unwritten_ms += [batch.timestamps_ms for batch in batches]
        num_records = sum(map(len, batches))
        is_behind = self._reader.lag() > self._settings.max_poll_records // 2
        if not is_behind or self._has_collected_enough():
            self._write()
        self._look_at_topic()
        return num_records

    def _has_collected_enough(self) -> bool:
        """Whether a shard that is behind has let changed users wait for their next change enough.

        That is a quarter of what the newest of them waited in the log, so that writing adds little
        to the lag that there is. A checkpoint ends it in any case.
        """
        lag_s = youngest_s(self._unwritten_ms, time.time() * 1000)
        return time.monotonic() - self._written_at >= COLLECTED_SHARE_OF_LAG * lag_s

    def _look_at_topic(self) -> None:
        known = self._reader.known(self._topic)
        if known.num_partitions and known != self._known:
            self._known = known
            self._follow()

    def _write(self) -> None:
        """Let the handlers write what they hold back."""
        if self._unwritten_ms:
            for handler in self._handlers:
                handler.write()
            self._freshness.observe(self._unwritten_ms, time.time() * 1000)
            self._unwritten_ms = []
        self._written_at = time.monotonic()

    def checkpoint(self) -> None:
        """Keep state and positions of every partition that moved since the last time."""
        self._write()
        if self._erased.refresh():
            for partition in self._progress:
                self._forget(partition)
        for partition in sorted(self._dirty):
            self._save(partition)
        if self._dirty:
            self._reader.commit({p: self.positions[p] for p in self._dirty})
        self._dirty.clear()
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Let the connections go; what was not checkpointed is repeated by the next shard."""
        try:
            self._dead_letters.close()
        finally:
            self._reader.close()

    def _take(self, batch: RecordBatch) -> None:
        decoded = self._codec.decode_batch(batch)
        self._dead_letters.put(batch, decoded.rejects)
        before = self._located(batch)
        rejected = [reject.position for reject in decoded.rejects]
        offsets = np.delete(batch.offsets, rejected)
        arrivals = without_erased(
            Arrivals(batch.partition, before.epoch, offsets, decoded.table), self._erased
        )
        accepted = [handler.apply(arrivals) for handler in self._handlers]
        self._progress[batch.partition] = msgspec.structs.replace(
            before,
            next_offset=batch.next_offset,
            counters=before.counters.plus(len(batch), accepted[0], len(decoded.rejects)),
            newest_event_time_ms=max(before.newest_event_time_ms, _newest_ms(decoded.table)),
        )
        self._dirty.add(batch.partition)

    def _located(self, batch: RecordBatch) -> Progress:
        """The partition's progress, where the log goes on elsewhere than the last batch ended.

        Gaps of transactions' markers and of compaction are normal; what left the log is counted.
        """
        now = self._progress[batch.partition]
        first = int(batch.offsets[0]) if len(batch) else batch.next_offset
        if first < now.next_offset:
            return gone_back(batch.partition, now, first)
        if first == now.next_offset:
            return now
        start = self._reader.start_offsets([batch.partition])[batch.partition]
        return without_lost(batch.partition, now, min(first, start))

    def _save(self, partition: Partition) -> None:
        now = self._progress[partition]
        commit = Commit(f"{partition.topic}-{partition.number}-{now.epoch}", now.next_offset)
        states = {handler.name: handler.checkpoint(partition, commit) for handler in self._handlers}
        p50_ms, p99_ms = self._freshness.percentiles()
        is_known = now.erased_version >= self._erased.version
        progress = msgspec.structs.replace(
            now,
            erased_version=self._erased.version,
            saved_at_ms=time.time_ns() // 1_000_000,
            freshness_p50_ms=p50_ms,
            freshness_p99_ms=p99_ms,
        )
        erased = NO_KEYS if is_known else self._erased.hashes()
        self._checkpoints.save(partition, Checkpoint(progress, states), erased)
        self._progress[partition] = msgspec.structs.replace(
            now, erased_version=progress.erased_version
        )


def without_erased(arrivals: Arrivals, erased: ErasedUsers) -> Arrivals:
    """The records but those of users who were erased up to a later time."""
    table = arrivals.table
    stays = stay(table, erased)
    return arrivals._replace(offsets=arrivals.offsets[stays], table=table.filter(pa.array(stays)))


def _newest_ms(table: pa.Table) -> int:
    return pc.max(table["event_time_ms"]).as_py() or 0
