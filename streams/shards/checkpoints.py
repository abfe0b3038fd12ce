"""What a shard must remember to go on where it stopped: positions, and the state of each handler.

Each partition has a folder. Its checkpoint is one small file, a manifest: the progress, and for
each handler the names of the files that hold its state. A save writes what changed under names
never used before, makes it durable, and then creates the next manifest. So a crash at any moment
leaves the old checkpoint or the new one, whole, and at most files that no checkpoint names; those
are removed by who claims the partition next.

    reaseq.events-3/checkpoint-000000000042.json   the newest; it names the others
                    9b1faa08.sequences.arrow       state of the handler "sequences",
                    4f1c09aa.sequences.arrow       and what changed of it since
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
import numpy as np
import pyarrow as pa

from reaseq.files import sync
from reaseq.types import Int64s
from streams.log.ports import Partition
from streams.shards import manifests
from streams.shards.manifests import FencedError, Numbered
from streams.shards.state_files import StateFile, add_rows, forget_users, read_rows, with_missing
from streams.shards.write_ahead_log import append_entry, recover_entries

NO_KEYS = np.zeros(0, np.int64)


class Counters(msgspec.Struct, frozen=True):
    """What a partition has seen since its first record; restored with the state, so exact."""

    num_records: int = 0
    num_accepted: int = 0
    """Those that changed anything. What is repeated after a crash is not counted where memory had
    no room for its user: what is read back holds it already."""
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
    topic_id: str = ""
    """Of the topic that the offsets belong to; see `streams.log.ports.KnownTopic`."""
    num_partitions: int = 0
    """How many the topic had; 0 where that is not known."""
    counters: Counters = Counters()
    saved_at_ms: int = 0
    newest_event_time_ms: int = 0
    erased_version: int = -1
    """Up to which the users erased are gone from the state; see `streams.erasure`."""
    freshness_p50_ms: float = 0.0
    freshness_p99_ms: float = 0.0


class Checkpoint(NamedTuple):
    """The state rows of each handler by its name, as of `progress.next_offset`.

    A row's key is its first column. Saved are the rows that changed since the last save, loaded
    all. None for a handler without state; a name that is missing belongs to a handler that the
    checkpoint knows nothing of.
    """

    progress: Progress
    states: Mapping[str, pa.Table | None]


class _Manifest(msgspec.Struct, frozen=True):
    """Which files make a checkpoint."""

    id: str
    """Begins the names of the files that were written for this checkpoint, and of its logs."""
    progress: Progress
    handlers: dict[str, list[StateFile]]
    """The files of each handler, the newest last; none for one without state."""


class Checkpoints:
    """The checkpoints of all partitions, in one folder.

    A partition has one writer: who claimed it last. Anybody may read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._owned: dict[Partition, Numbered[_Manifest | None]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def claim(self, partition: Partition) -> Checkpoint | None:
        """Become the partition's writer; return its newest checkpoint, None before the first."""
        kept = self._claim(partition)
        return None if kept is None else self._checkpoint(partition, kept)

    def save(self, partition: Partition, checkpoint: Checkpoint, erased: Int64s = NO_KEYS) -> None:
        """Keep the next checkpoint, atomically and durably; its log starts anew.

        Rows of the users `erased` (`hash64`) are in no file any more when it returns, of whatever
        handler has its rows by `user_id`.
        Claims a partition that this object has not claimed. Raises FencedError when another has
        done so since: then nothing was saved.
        """
        if partition not in self._owned:
            self._claim(partition)
        folder = self._make_folder_of(partition)
        number, last = self._owned[partition]
        manifests.check_newest(folder, number)
        had = {} if last is None else last.handlers
        if len(erased):
            had = {
                name: forget_users(folder, f"{uuid.uuid4().hex[:12]}.{name}.arrow", files, erased)
                for name, files in had.items()
            }
        new_id = uuid.uuid4().hex[:12]
        handlers = {
            name: []
            if rows is None
            else add_rows(folder, f"{new_id}.{name}.arrow", had.get(name, []), rows)
            for name, rows in checkpoint.states.items()
        }
        manifest = _Manifest(new_id, checkpoint.progress, handlers)
        self._create(partition, number + 1, manifest)
        if last is not None:
            # Not whatever else is there: it may be of one who has claimed the partition since.
            written = {file.name for files in had.values() for file in files}
            gone = (_named(last) | written) - _named(manifest)
            _remove(folder / name for name in gone)
            _remove(folder.glob(f"{last.id}.*.wal"))
            _remove([folder / manifests.name_of(number)])

    def append_wal(self, partition: Partition, handler: str, rows: pa.Table) -> None:
        """Keep rows of a handler until the partition's next checkpoint; there must be a first.

        Raises FencedError, see `save`.
        """
        number, manifest = self._owned.get(partition, Numbered(0, None))
        assert manifest is not None, "a write-ahead log follows a checkpoint"
        manifests.check_newest(self._folder_of(partition), number)
        append_entry(self._wal(partition, manifest.id, handler), rows)

    def partitions(self) -> list[Partition]:
        """Those that have a folder here, in order."""
        split = [folder.name.rpartition("-") for folder in self._folder.iterdir()]
        return sorted(Partition(topic, int(n)) for topic, _, n in split if n.isdecimal())

    def load(self, partition: Partition) -> Checkpoint | None:
        """The newest checkpoint, None before the first, without claiming the partition."""
        kept = manifests.read_newest(self._folder_of(partition), _Manifest)
        return None if kept is None else self._checkpoint(partition, kept.content)

    def progress(self, partition: Partition) -> Progress | None:
        """Only the progress, without reading the state."""
        kept = manifests.read_newest(self._folder_of(partition), _Manifest)
        return None if kept is None else kept.content.progress

    def _claim(self, partition: Partition) -> _Manifest | None:
        folder = self._make_folder_of(partition)
        while True:
            # Listed first: what comes afterwards may be of one who claims it after us.
            there = [file for file in folder.iterdir() if file.is_file()]
            kept = manifests.read_newest(folder, _Manifest)
            if kept is None:
                self._owned[partition] = Numbered(0, None)
                return None
            try:
                self._create(partition, kept.number + 1, kept.content)
            except FencedError:
                continue
            needed = _named(kept.content)
            log = f"{kept.content.id}."
            _remove(f for f in there if f.name not in needed and not _is_log(f, log))
            return kept.content

    def _create(self, partition: Partition, number: int, manifest: _Manifest) -> None:
        manifests.create(self._folder_of(partition), number, manifest)
        self._owned[partition] = Numbered(number, manifest)

    def _checkpoint(self, partition: Partition, manifest: _Manifest) -> Checkpoint:
        folder = self._folder_of(partition)
        states = {}
        for name, files in manifest.handlers.items():
            logged = recover_entries(self._wal(partition, manifest.id, name))
            states[name] = with_missing(read_rows(folder, files), logged)
        return Checkpoint(manifest.progress, states)

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


def _named(manifest: _Manifest) -> set[str]:
    """The files that hold the states of a checkpoint."""
    return {file.name for files in manifest.handlers.values() for file in files}


def _is_log(file: Path, prefix: str) -> bool:
    return file.suffix == ".wal" and file.name.startswith(prefix)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
