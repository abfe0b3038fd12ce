"""The state of a handler in files that cost what changed.

A save adds one file with the rows that changed; a row replaces the one with the same key, which is
its first column. Before a file is written, those before it that are not much larger are taken into
it. So each file is at least twice as large as the next, there are few of them, and a row is written
anew about as often as the logarithm of all rows (the logarithmic method, Bentley and Saxe 1980).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from reaseq.errors import NotReadyError
from reaseq.files import replacing
from reaseq.sequences.hashing import hash64
from reaseq.types import Int64s

USER_KEY = "user_id"

_ROWS_OF_BATCH = 65_536
_MANY_BYTES = 2**30
"""Above it columns stay in pieces: one piece holds 2 GiB of strings at most."""


class StateFile(msgspec.Struct, frozen=True):
    """One file, by its name in the folder of its partition."""

    name: str
    num_rows: int


def add_rows(
    folder: Path, name: str, files: Sequence[StateFile], rows: pa.Table
) -> list[StateFile]:
    """Write changed rows durably, under a new name; return the files that now hold the state."""
    if files and not rows.num_rows:
        return list(files)
    kept = list(files)
    while kept and kept[-1].num_rows <= 2 * rows.num_rows:
        rows = replaced(_read(folder, kept.pop()), rows)
    if rows.nbytes < _MANY_BYTES:
        rows = rows.combine_chunks()
    with replacing(folder / name) as file, pa.OSFile(str(file), "wb") as sink:
        options = ipc.IpcWriteOptions(compression="lz4")
        with ipc.new_file(sink, rows.schema, options=options) as writer:
            writer.write_table(rows, max_chunksize=_ROWS_OF_BATCH)
    return [*kept, StateFile(name, rows.num_rows)]


def forget_users(
    folder: Path, name: str, files: Sequence[StateFile], user_hashes: Int64s
) -> list[StateFile]:
    """Take the rows of some users (`hash64`) out; return the files that now hold the state.

    Where there is none of them the files stay; otherwise they are written anew as one.
    """
    rows = read_rows(folder, files)
    left = None if rows is None else without_users(rows, user_hashes)
    if rows is None or left is None or left.num_rows == rows.num_rows:
        return list(files)
    return add_rows(folder, name, [], left)


def without_users(rows: pa.Table, user_hashes: Int64s) -> pa.Table:
    """The rows but those of some users (`hash64`). Rows whose key is no user stay.

    An item may have the id of a user, so it is the name of the key that counts.
    """
    if rows.column_names[0] != USER_KEY:
        return rows
    return rows.filter(pa.array(~np.isin(hash64(rows.column(0)), user_hashes)))


def read_rows(folder: Path, files: Sequence[StateFile]) -> pa.Table | None:
    """All rows, those that changed last at the end; None without a file. Raises NotReadyError."""
    rows: pa.Table | None = None
    for file in files:
        newer = _read(folder, file)
        rows = newer if rows is None else replaced(rows, newer)
    return rows


def with_missing(rows: pa.Table | None, logged: Iterable[pa.Table]) -> pa.Table | None:
    """The rows, and of the logged ones the first of each key that they do not have."""
    for more in logged:
        if rows is not None:
            more = more.filter(pc.invert(_is_among(more, rows)))
        rows = more if rows is None else pa.concat_tables([rows, more])
    return rows


def replaced(older: pa.Table, newer: pa.Table) -> pa.Table:
    """The older rows that have no newer one, and after them the newer ones."""
    return pa.concat_tables([older.filter(pc.invert(_is_among(older, newer))), newer])


def _is_among(rows: pa.Table, others: pa.Table) -> pa.ChunkedArray:
    """Whether the key of each row is among those of others."""
    keys = others.column(0).combine_chunks()
    return pc.is_in(rows.column(0), value_set=keys)


def _read(folder: Path, file: StateFile) -> pa.Table:
    try:
        with pa.OSFile(str(folder / file.name)) as source:
            rows = ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise NotReadyError(
            f"{folder / file.name} belongs to a checkpoint and cannot be read ({error}): restore "
            "it, or remove its folder; then the partition is read from its beginning, on top of "
            "what the online store holds"
        ) from error
    if rows.num_rows != file.num_rows:
        raise NotReadyError(
            f"{folder / file.name} holds {rows.num_rows} rows, not {file.num_rows}: it is not of "
            "the checkpoint beside it; restore both, or remove the folder"
        )
    return rows
