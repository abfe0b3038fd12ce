"""What a shard must remember to go on where it stopped: state and positions, written as one file.

One file a partition. It is written beside the old one and renamed over it, so a crash at any moment
leaves either the old checkpoint or the new one, never a mixture.

Between two checkpoints a shard reads users it has not met from the online store. What it found is
noted beside the checkpoint before it writes there, because after a crash the store would answer
with the lost shard's own writes and the repetition would no longer do what the first run did.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.log.ports import Partition

_META = b"reaseq.checkpoint"
_FRAME = struct.Struct("<Q")


class Counters(msgspec.Struct, frozen=True):
    """What a partition has seen since its first record; restored with the state, so exact."""

    num_records: int = 0
    num_accepted: int = 0
    num_dead_letters: int = 0

    def plus(self, num_records: int, num_accepted: int, num_dead_letters: int) -> Counters:
        """These counters after more has been seen."""
        return Counters(
            self.num_records + num_records,
            self.num_accepted + num_accepted,
            self.num_dead_letters + num_dead_letters,
        )


class Progress(msgspec.Struct, frozen=True):
    """The part of a checkpoint that `reaseq status` reads: small, and without the state."""

    next_offset: int
    epoch: str = ""
    """Names one unbroken run of offsets; a new one starts when there is no checkpoint to follow."""
    counters: Counters = Counters()
    saved_at_ms: int = 0
    newest_event_time_ms: int = 0
    freshness_p50_ms: float = 0.0
    freshness_p99_ms: float = 0.0


class Checkpoint(NamedTuple):
    """State rows (None for a stateless shard) as of `progress.next_offset`."""

    progress: Progress
    rows: pa.Table | None


class Checkpoints:
    """The checkpoints of all partitions, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, partition: Partition, checkpoint: Checkpoint) -> None:
        """Replace the partition's checkpoint atomically and durably."""
        rows = checkpoint.rows if checkpoint.rows is not None else pa.table({})
        meta = {_META: msgspec.json.encode(checkpoint.progress)}
        file = self._file(partition)
        new = file.with_suffix(f".{os.getpid()}.new")
        pq.write_table(rows.replace_schema_metadata(meta), new, compression="lz4")
        with new.open("rb") as written:
            os.fsync(written.fileno())
        new.replace(file)
        _sync_folder(self._folder)  # the notes may go only when the new name is there to stay
        self._notes(partition).unlink(missing_ok=True)

    def note(self, partition: Partition, rows: pa.Table) -> None:
        """Remember state rows that a crash before the next checkpoint must not lose."""
        message = pa.BufferOutputStream()
        with pa.ipc.new_stream(message, rows.schema) as stream:
            stream.write_table(rows)
        framed = message.getvalue()
        with self._notes(partition).open("ab") as notes:
            notes.write(_FRAME.pack(framed.size))
            notes.write(framed)

    def load(self, partition: Partition) -> Checkpoint | None:
        """The partition's newest checkpoint, None before the first. For the shard that goes on."""
        file = self._file(partition)
        if not file.exists():
            return None
        saved = pq.read_table(file)
        progress = msgspec.json.decode(saved.schema.metadata[_META], type=Progress)
        rows = [saved.replace_schema_metadata(None)] if saved.num_columns else []
        rows += self._read_notes(partition)
        return Checkpoint(progress, pa.concat_tables(rows) if rows else None)

    def progress(self, partition: Partition) -> Progress | None:
        """Only the progress, without reading the state."""
        file = self._file(partition)
        if not file.exists():
            return None
        return msgspec.json.decode(pq.read_metadata(file).metadata[_META], type=Progress)

    def _read_notes(self, partition: Partition) -> list[pa.Table]:
        file = self._notes(partition)
        content = file.read_bytes() if file.exists() else b""
        tables, place = [], 0
        while (message := _message(content, place)) is not None:
            tables.append(pa.ipc.open_stream(message).read_all())
            place += _FRAME.size + len(message)
        if place < len(content):
            # A crash came while a note was written: nothing was done after it. The torn piece must
            # go, or the next note would be read as its missing end.
            os.truncate(file, place)
        return tables

    def _notes(self, partition: Partition) -> Path:
        return self._file(partition).with_suffix(".notes")

    def _file(self, partition: Partition) -> Path:
        return self._folder / f"{partition.topic}-{partition.number}.parquet"


def _message(content: bytes, place: int) -> bytes | None:
    """The whole message framed at `place`; None at the end, or where it is torn."""
    start = place + _FRAME.size
    if start > len(content):
        return None
    (size,) = _FRAME.unpack_from(content, place)
    message = content[start : start + size]
    return message if len(message) == size else None


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the contents of its files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
