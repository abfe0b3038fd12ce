"""What a shard must remember to go on where it stopped: positions, and the state of each handler.

Each partition has a folder. Its checkpoint is one small file, `checkpoint.json`: the progress, and
for each handler the names of the files that hold its state. A save writes new state files under
names never used before, makes them durable, and then replaces the small file by a rename. So a
crash at any moment leaves the old checkpoint or the new one, whole, and at most files that no
checkpoint names; those are removed by the next load.

    reaseq.events-3/checkpoint.json                names the files of checkpoint 4f1c09aa
                    4f1c09aa.sequences.parquet     state of the handler "sequences"
                    4f1c09aa.sequences.wal         what the handler must not lose since then

Between two checkpoints a shard reads users it has not met from the online store. It logs what it
read, ahead of its own writes there, because after a crash the store would answer with the lost
shard's writes and the repetition would no longer do what the first run did. A write-ahead log
belongs to the checkpoint it follows, and ends with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from reaseq.errors import NotReadyError
from reaseq.files import replacing, sync, write_atomically
from streams.log.ports import Partition
from streams.shards.write_ahead_log import append_entry, recover_entries

_CHECKPOINT = "checkpoint.json"


class Counters(msgspec.Struct, frozen=True):
    """What a partition has seen since its first record; restored with the state, so exact."""

    num_records: int = 0
    num_accepted: int = 0
    num_dead_letters: int = 0
    num_lost: int = 0
    """Records that had left the log before they were read."""

    def plus(self, num_records: int, num_accepted: int, num_dead_letters: int) -> Counters:
        """These counters after more has been seen."""
        return msgspec.structs.replace(
            self,
            num_records=self.num_records + num_records,
            num_accepted=self.num_accepted + num_accepted,
            num_dead_letters=self.num_dead_letters + num_dead_letters,
        )


class Progress(msgspec.Struct, frozen=True):
    """The part of a checkpoint that `reaseq status` reads: small, and without the state."""

    next_offset: int
    epoch: int = 0
    """Numbers an unbroken run of offsets; a new one starts where there is no state to follow."""
    counters: Counters = Counters()
    saved_at_ms: int = 0
    newest_event_time_ms: int = 0
    freshness_p50_ms: float = 0.0
    freshness_p99_ms: float = 0.0


class Checkpoint(NamedTuple):
    """The state rows of each handler by its name, all as of `progress.next_offset`.

    None for a handler without state; a name that is missing belongs to a handler that the
    checkpoint knows nothing of.
    """

    progress: Progress
    states: Mapping[str, pa.Table | None]


class _Manifest(msgspec.Struct, frozen=True):
    """The content of `checkpoint.json`."""

    id: str
    """Begins the names of this checkpoint's files."""
    progress: Progress
    handlers: dict[str, list[str]]
    """The files whose rows, in this order, are a handler's state; none for one without state."""


class Checkpoints:
    """The checkpoints of all partitions, in one folder. A partition has one writer at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, partition: Partition, checkpoint: Checkpoint) -> None:
        """Replace the partition's checkpoint, atomically and durably; its log starts anew."""
        folder = self._make_folder_of(partition)
        replaced = self._manifest(partition)
        new_id = uuid.uuid4().hex[:12]
        handlers = {
            name: [] if rows is None else [_write_state(folder, f"{new_id}.{name}.parquet", rows)]
            for name, rows in checkpoint.states.items()
        }
        manifest = _Manifest(new_id, checkpoint.progress, handlers)
        write_atomically(folder / _CHECKPOINT, msgspec.json.encode(manifest))
        if replaced is not None:
            _remove(folder.glob(f"{replaced.id}.*"))

    def append_wal(self, partition: Partition, handler: str, rows: pa.Table) -> None:
        """Keep rows of a handler until the partition's next checkpoint; there must be a first."""
        manifest = self._manifest(partition)
        assert manifest is not None, "a write-ahead log follows a checkpoint"
        append_entry(self._wal(partition, manifest.id, handler), rows)

    def load(self, partition: Partition) -> Checkpoint | None:
        """The partition's newest checkpoint, None before the first. For the shard that goes on."""
        manifest = self._manifest(partition)
        if manifest is None:
            return None
        _remove(_unfinished(self._folder_of(partition), manifest.id))
        states = {name: self._state(partition, manifest, name) for name in manifest.handlers}
        return Checkpoint(manifest.progress, states)

    def progress(self, partition: Partition) -> Progress | None:
        """Only the progress, without reading the state."""
        manifest = self._manifest(partition)
        return manifest.progress if manifest else None

    def _state(self, partition: Partition, manifest: _Manifest, handler: str) -> pa.Table | None:
        folder = self._folder_of(partition)
        saved = [pq.read_table(folder / name) for name in manifest.handlers[handler]]
        rows = saved + recover_entries(self._wal(partition, manifest.id, handler))
        return pa.concat_tables(rows) if rows else None

    def _manifest(self, partition: Partition) -> _Manifest | None:
        try:
            content = (self._folder_of(partition) / _CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(content, type=_Manifest)
        except ValueError as error:
            raise NotReadyError(
                f"the checkpoint in {self._folder_of(partition)} cannot be read ({error}): it is "
                "damaged or of another version; without it the partition is read from its beginning"
            ) from error

    def _wal(self, partition: Partition, checkpoint_id: str, handler: str) -> Path:
        return self._folder_of(partition) / f"{checkpoint_id}.{handler}.wal"

    def _folder_of(self, partition: Partition) -> Path:
        return self._folder / f"{partition.topic}-{partition.number}"

    def _make_folder_of(self, partition: Partition) -> Path:
        folder = self._folder_of(partition)
        if not folder.exists():
            folder.mkdir()
            sync(self._folder)
        return folder


def _write_state(folder: Path, name: str, rows: pa.Table) -> str:
    """Write rows durably under a new name, and return the name."""
    with replacing(folder / name) as file:
        pq.write_table(rows, file, compression="lz4")
    return name


def _unfinished(folder: Path, checkpoint_id: str) -> list[Path]:
    """The files that the checkpoint does not name: of one before it, or of a save that crashed."""
    kept = (_CHECKPOINT, f"{checkpoint_id}.")
    return [file for file in folder.iterdir() if not file.name.startswith(kept)]


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
