"""State rows that must survive until the next checkpoint: appended to a file, read back whole.

Each entry is an Arrow stream behind its length. A crash in the middle of an append leaves a torn
entry, after which nothing was done: it is cut off when the file is read, or the next entry would be
read as its missing end.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from streams.log.ports import Partition

_FRAME = struct.Struct("<Q")


class WriteAheadLog(Protocol):
    """Where a handler keeps state that a crash must not lose; `streams.shards.checkpoints`."""

    def append_wal(self, partition: Partition, handler: str, rows: pa.Table) -> None:
        """Keep rows until the handler's next checkpoint of the partition.

        After a crash they follow the rows of the last checkpoint, so they have the same columns;
        a row whose key the checkpoint, or an earlier entry, has is left out.
        """


def append_entry(file: Path, rows: pa.Table) -> None:
    """Append one entry; the file is made when needed."""
    message = pa.BufferOutputStream()
    with pa.ipc.new_stream(message, rows.schema) as stream:
        stream.write_table(rows)
    entry = message.getvalue()
    with file.open("ab", buffering=0) as log:
        log.write(_FRAME.pack(entry.size) + entry.to_pybytes())


def recover_entries(file: Path) -> list[pa.Table]:
    """The whole entries, in order, none without a file; cuts a torn one off the file."""
    content = file.read_bytes() if file.exists() else b""
    tables, start = [], 0
    while (entry := _entry(content, start)) is not None:
        tables.append(pa.ipc.open_stream(entry).read_all())
        start += _FRAME.size + len(entry)
    if start < len(content):
        os.truncate(file, start)
    return tables


def _entry(content: bytes, start: int) -> bytes | None:
    """The whole entry framed at `start`; None at the end, or where it is torn."""
    begin = start + _FRAME.size
    if begin > len(content):
        return None
    (size,) = _FRAME.unpack_from(content, start)
    entry = content[begin : begin + size]
    return entry if len(entry) == size else None
