"""Taking a user out of every store, and looking afterwards.

First the erasure is noted, for good (`streams.erasure.erased_users`), and from then on nothing that
happened until that moment is taken in. The shards take the user out of their memory and their
checkpoints with the next of these. Only then the stores are cleared, for nobody writes there any
more what was before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from reaseq.errors import NotReadyError
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.sequences.rows import rows_after
from streams.erasure.erased_users import ErasedUsersTable
from streams.feature_store.features import Features
from streams.log.ports import Partition
from streams.offline.events import EventArchive
from streams.offline.tables import is_text
from streams.shards.checkpoints import Checkpoint, Checkpoints
from streams.shards.state_files import without_users

FOR_EVER_MS = 2**53

Remains = Mapping[str, int]
"""What there is of a user, rows or events, by the name of the place."""

POLL_S = 0.2


class Stores(NamedTuple):
    """Everything that keeps something of users."""

    erased: ErasedUsersTable
    archive: EventArchive
    features: Features
    checkpoints: Checkpoints
    partitions: Sequence[Partition]
    """Of the topic of events."""


class Erasure(NamedTuple):
    """Of one user, once it is noted."""

    user_id: str
    until_ms: int
    version: int


def note_erasure(stores: Stores, user_id: str, now_ms: int) -> Erasure:
    """Let nothing of the user be taken in again that happened until now.

    Where the newest event is ahead of now, by a clock that was fast, until that.
    """
    until_ms = max([now_ms, *_times_ms(stores, user_id)])
    return Erasure(user_id, until_ms, stores.erased.add(user_id, until_ms))


def wait_for_shards(
    stores: Stores, erasure: Erasure, timeout_s: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Return when no shard has anything of the user; raises NotReadyError when that takes longer.

    Partitions that no shard ever read count as done.
    """
    deadline = clock() + timeout_s
    while behind := _behind(stores, erasure):
        if clock() > deadline:
            numbers = ", ".join(str(partition.number) for partition in behind)
            raise NotReadyError(
                f"the shards of partitions {numbers} have not taken up the erasure in "
                f"{timeout_s:.0f} s (`reaseq status` says how they are); it is noted and holds: "
                "run the command again when they go on, and it clears the stores"
            )
        time.sleep(POLL_S)


def erase_from_checkpoints(stores: Stores, erasure: Erasure) -> None:
    """Do what the shards would, while no stream runs and none can start."""
    for partition in _behind(stores, erasure):
        kept = stores.checkpoints.claim(partition)
        if kept is not None:
            erased = stores.erased.hashes()
            progress = msgspec.structs.replace(kept.progress, erased_version=erasure.version)
            # All of them: what a lost shard had logged ahead is among them, and must not be lost.
            states = {
                name: None if rows is None else without_users(rows, erased)
                for name, rows in kept.states.items()
            }
            stores.checkpoints.save(partition, Checkpoint(progress, states), erased)


def erase_from_stores(stores: Stores, erasure: Erasure) -> None:
    """Clear the online store and the offline tables, their old versions and files too."""
    user_id, until_ms = erasure.user_id, erasure.until_ms
    later = _rows_later(stores, erasure)
    if later.num_rows:
        stores.features.write(SEQUENCES, later)
    stores.features.delete(SEQUENCES, [user_id], until_ms)
    stores.features.delete(GENERATED, [user_id], FOR_EVER_MS)
    stores.archive.table.delete(_events_until(erasure))
    stores.features.table(GENERATED).delete(is_text("user_id", user_id))
    for table in (stores.archive.table, stores.features.table(GENERATED)):
        table.vacuum(keep_removed_hours=0)


def remains(stores: Stores, erasure: Erasure) -> Remains:
    """What there still is of the user from before the erasure, everywhere that it was looked."""
    user_id = erasure.user_id
    sequence = stores.features.read(SEQUENCES, [user_id])
    events = stores.archive.table.read(["user_id"], _events_until(erasure))
    generated = stores.features.table(GENERATED).read(["user_id"], is_text("user_id", user_id))
    return {
        "events online": _num_until(sequence, erasure.until_ms),
        "generated behaviours online": stores.features.read(GENERATED, [user_id]).num_rows,
        "events offline": events.num_rows,
        "generated behaviours offline": generated.num_rows,
        "events in checkpoints": _num_in_checkpoints(stores, erasure),
    }


def _events_until(erasure: Erasure) -> ds.Expression:
    is_theirs = is_text("user_id", erasure.user_id)
    return is_theirs & (ds.field("event_time_ms") <= erasure.until_ms)


def _times_ms(stores: Stores, user_id: str) -> list[int]:
    """When the user did something, as far as it is known."""
    archived = stores.archive.table.read(["event_time_ms"], is_text("user_id", user_id))
    online = stores.features.read(SEQUENCES, [user_id])
    return [*archived["event_time_ms"].to_pylist(), *online["newest_event_time_ms"].to_pylist()]


def _behind(stores: Stores, erasure: Erasure) -> list[Partition]:
    """The partitions whose checkpoint may hold something of the user."""
    progress = {
        partition: stores.checkpoints.progress(partition) for partition in stores.partitions
    }
    return [
        partition
        for partition, kept in progress.items()
        if kept is not None and kept.erased_version < erasure.version
    ]


def _rows_later(stores: Stores, erasure: Erasure) -> pa.Table:
    """The user's row online without what was until the erasure, if anything is left."""
    row = stores.features.read(SEQUENCES, [erasure.user_id])
    return rows_after(row, np.full(row.num_rows, erasure.until_ms))


def _num_until(rows: pa.Table, until_ms: int) -> int:
    times_ms = [time_ms for times in rows["event_times_ms"].to_pylist() for time_ms in times]
    return sum(time_ms <= until_ms for time_ms in times_ms)


def _num_in_checkpoints(stores: Stores, erasure: Erasure) -> int:
    num = 0
    for partition in stores.partitions:
        kept = stores.checkpoints.load(partition)
        rows = None if kept is None else kept.states.get("sequences")
        if rows is not None:
            mine = rows.filter(pa.array(np.asarray(rows["user_id"]) == erasure.user_id))
            num += _num_until(mine, erasure.until_ms)
    return num
