"""One Delta table: rows appended once however often the append is repeated, by many at a time.

A folder, local or in an object store, that Spark, DuckDB and Polars read as it is. Every table has
two columns more than its schema says, `append_id` and `append_row`: together they name a row, and
in their order later appends come after earlier ones. Compaction keeps both.

The data file of an append is on the disk before the commit that names it, and the commit before
`append` returns, so whoever saves a position afterwards saves nothing that a power cut can undo.
Object stores are durable by themselves.
"""

from __future__ import annotations

import fcntl
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction
from pyarrow.fs import PyFileSystem

from reaseq.errors import NotReadyError
from reaseq.files import sync

APPEND_ID, APPEND_ROW = "append_id", "append_row"
APPEND_COLUMNS = [
    pa.field(APPEND_ID, pa.string(), nullable=False),
    pa.field(APPEND_ROW, pa.int64(), nullable=False),
]

MAX_ATTEMPTS = 20
"""Commits tried against others' before giving up; a conflict costs milliseconds."""

REOPEN_S = 3600.0
"""A handle follows the log by reading its tail, which is kept for a day."""

TARGET_BYTES = 32 * 2**20
"""Size of a compacted file: one of at least this size is never rewritten."""

MAX_SMALL_FILES = 64
"""Smaller files than that are left alone: opening them costs less than writing them again."""

KEEP_REMOVED_HOURS = 1
"""A reader that began this long ago still finds the files that compaction has replaced."""

ROWS_A_GROUP = 10_000
"""Rows of one Parquet row group; what a reader must hold at once."""

CONFIGURATION: dict[str, str | None] = {
    "delta.checkpointInterval": "10",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": f"interval {KEEP_REMOVED_HOURS} hours",
    "delta.dataSkippingNumIndexedCols": "0",
}
"""Whoever appends reads the log since its last checkpoint: a short tail is worth the writing. No
least and greatest values in the log: the greatest user id would outlive its user there."""


class Commit(NamedTuple):
    """Names an append: `version` numbers the appends of one `app_id`, and only grows.

    An append whose version is not above the last one of its `app_id` was done before. Who appends
    in no fixed order needs an `app_id` for each append.
    """

    app_id: str
    version: int = 0


def new_run(name: str) -> str:
    """An `app_id` unlike any before it: what others of that name appended stays."""
    return f"{name}-{uuid.uuid4().hex}"


class OfflineTable:
    """A Delta table that exists; safe among threads, and beside other processes' own objects."""

    def __init__(self, uri: str | Path, storage_options: dict[str, str] | None = None) -> None:
        self._uri = str(uri)
        self._options = storage_options
        self._lock = threading.RLock()
        self._table: DeltaTable | None = None
        self._schema: pa.Schema | None = None
        self._opened_at = 0.0

    @classmethod
    def create(
        cls, uri: str | Path, schema: pa.Schema, storage_options: dict[str, str] | None = None
    ) -> OfflineTable:
        """The table at `uri`, made with `schema` and the append columns where there is none."""
        if not DeltaTable.is_deltatable(str(uri), storage_options):
            try:
                DeltaTable.create(
                    str(uri),
                    pa.schema([*schema, *APPEND_COLUMNS]),
                    mode="ignore",
                    configuration=CONFIGURATION,
                    storage_options=storage_options,
                )
            except CommitFailedError:
                # Another process has just made it.
                if not DeltaTable.is_deltatable(str(uri), storage_options):
                    raise
        return cls(uri, storage_options)

    def __repr__(self) -> str:
        return f"OfflineTable({self._uri!r})"

    @property
    def schema(self) -> pa.Schema:
        """All columns, those of the appends too."""
        with self._lock:
            if self._schema is None:
                self._schema = self._current().to_pyarrow_dataset().schema
            return self._schema

    def append(self, rows: pa.Table, commit: Commit) -> bool:
        """Add rows whole, or not at all; False when this commit was made before.

        Columns are matched by name and cast. Raises ValueError for a column that is missing, and
        OSError when others' commits keep coming first.
        """
        if not rows.num_rows:
            return False
        rows = self._numbered(rows)
        with self._lock:
            # Looking at the version that we have is enough: the commit is checked against all that
            # came after it, and fails where one of these is of the same run.
            if self._is_done(commit, self._opened()):
                return False
            return self._commit(self._write(rows), commit)

    def dataset(self) -> ds.Dataset:
        """The rows as they are now, for DuckDB or Arrow; later changes do not show in it."""
        with self._lock:
            rows: ds.Dataset = self._current().to_pyarrow_dataset()
        return rows

    def read(self, columns: list[str], where: ds.Expression | None = None) -> pa.Table:
        """Some columns of the rows that `where` keeps, in no particular order."""
        return self.dataset().to_table(columns=columns, filter=where)

    def version(self) -> int:
        """The number of the newest commit, whoever made it."""
        with self._lock:
            return int(self._current().version())

    def num_rows(self) -> int:
        """Rows appended and not deleted; reads the log alone."""
        with self._lock:
            return int(self._current().count())

    def num_files(self) -> int:
        """Data files that a reader opens."""
        with self._lock:
            return len(self._current().file_uris())

    def delete(self, where: ds.Expression) -> int:
        """Delete the rows that `where` keeps in a `read`; return how many they were.

        They are gone for every later reader; `vacuum(0)` then removes the files that hold them. The
        log of the table says which rows these were by their places in the appends, not by what was
        in them.
        """
        rows = self.read([APPEND_ID, APPEND_ROW], where)
        if not rows.num_rows:
            return 0
        columns = (rows[name].to_pylist() for name in (APPEND_ID, APPEND_ROW))
        places = ", ".join(f"'{append}:{row}'" for append, row in zip(*columns, strict=True))
        is_there = f"({APPEND_ID} || ':' || CAST({APPEND_ROW} AS STRING)) IN ({places})"
        return self._retried(lambda t: int(t.delete(is_there)["num_deleted_rows"]))

    def compact(self) -> bool:
        """Join small files where there are many, and remove those joined a while ago.

        False when it was not due, or another does it. Appends go on beside it. Two at once would
        double rows, which deltalake 1.6 does not notice: a lock keeps them apart where the table is
        local or mounted; in an object store one process alone may call this.
        """
        with self._only_compaction() as is_ours:
            if not is_ours or self._num_small_files() <= MAX_SMALL_FILES:
                return False
            # On a handle of its own: appends of other threads do not wait for it.
            table = DeltaTable(self._uri, storage_options=self._options)
            writer = WriterProperties(
                compression="ZSTD", compression_level=1, max_row_group_size=ROWS_A_GROUP
            )
            try:
                table.optimize.compact(target_size=TARGET_BYTES, writer_properties=writer)
            except CommitFailedError:
                return False  # a deletion came first: the next time is soon enough
            self.vacuum(KEEP_REMOVED_HOURS)
            return True

    def vacuum(self, keep_removed_hours: int) -> None:
        """Remove the files that no version younger than this needs; readers of those would fail."""
        table = DeltaTable(self._uri, storage_options=self._options)
        table.vacuum(keep_removed_hours, dry_run=False, enforce_retention_duration=False)

    def _num_small_files(self) -> int:
        with self._lock:
            files = pa.table(self._current().get_add_actions(flatten=True))
        return sum(size < TARGET_BYTES // 2 for size in files["size_bytes"].to_pylist())

    @contextmanager
    def _only_compaction(self) -> Iterator[bool]:
        """Whether no other object, in no process, compacts the table while inside."""
        if self._folder is None:
            yield True
            return
        with (self._folder / "_compaction.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @staticmethod
    def _is_done(commit: Commit, table: DeltaTable) -> bool:
        done = table.transaction_version(commit.app_id)
        return done is not None and done >= commit.version

    def _commit(self, added: AddAction, commit: Commit) -> bool:
        transaction = Transaction(commit.app_id, commit.version, int(time.time() * 1000))
        properties = CommitProperties(app_transactions=[transaction])
        table = self._opened()
        for _ in range(MAX_ATTEMPTS):
            try:
                table.create_write_transaction(
                    [added], "append", table.schema(), commit_properties=properties
                )
            except CommitFailedError:
                table = self._current()
                if self._is_done(commit, table):
                    return False  # by another: our file is in no version
                continue
            before = table.version()
            table.update_incremental()
            self._sync_log(range(before + 1, table.version() + 1))
            return True
        raise OSError(f"{self._uri}: {MAX_ATTEMPTS} commits lost against others: try again")

    def _write(self, rows: pa.Table) -> AddAction:
        """A data file of numbered rows, durable and not yet part of the table."""
        name = f"part-{rows[APPEND_ID][0].as_py()}.parquet"
        files = PyFileSystem(DeltaStorageHandler(self._uri, self._options))
        with files.open_output_stream(name) as file:
            pq.write_table(
                rows,
                file,
                compression="zstd",
                row_group_size=ROWS_A_GROUP,
                # Numbers hardly repeat, but most are near the one before.
                use_dictionary=_texts(rows.schema),
                column_encoding=dict.fromkeys(_integers(rows.schema), "DELTA_BINARY_PACKED"),
            )
        if (folder := self._folder) is not None:
            sync(folder / name)
            sync(folder)
        size = files.get_file_info(name).size
        stats = json.dumps({"numRecords": rows.num_rows})
        return AddAction(name, size, {}, int(time.time() * 1000), True, stats)

    def _numbered(self, rows: pa.Table) -> pa.Table:
        append_id = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
        rows = rows.append_column(APPEND_ID, pa.repeat(append_id, rows.num_rows))
        rows = rows.append_column(APPEND_ROW, pa.array(np.arange(rows.num_rows)))
        schema = self.schema
        if missing := [name for name in schema.names if name not in rows.column_names]:
            raise ValueError(f"{self._uri}: columns {missing} are missing from the rows to append")
        return rows.select(schema.names).cast(schema, safe=False)

    def _retried(self, change: Callable[[DeltaTable], int]) -> int:
        """The answer of a change to the newest version, again where another came first."""
        for _ in range(MAX_ATTEMPTS):
            with self._lock:
                try:
                    return change(self._current())
                except CommitFailedError:
                    continue
        raise OSError(f"{self._uri}: {MAX_ATTEMPTS} commits lost against others: try again")

    def _current(self) -> DeltaTable:
        """The table at its newest version."""
        table = self._opened()
        table.update_incremental()
        return table

    def _opened(self) -> DeltaTable:
        """The table at the version that it was last seen at."""
        now = time.monotonic()
        if self._table is not None and now - self._opened_at < REOPEN_S:
            return self._table
        try:
            self._table = DeltaTable(self._uri, storage_options=self._options)
        except TableNotFoundError as error:
            raise NotReadyError(
                f"no table in {self._uri}: `reaseq up` makes it, or Features.apply"
            ) from error
        self._opened_at = now
        return self._table

    @property
    def _folder(self) -> Path | None:
        """Where the files are, None for an object store."""
        return None if "://" in self._uri else Path(self._uri)

    def _sync_log(self, versions: range) -> None:
        """Make these commits durable: ours is among them."""
        if (folder := self._folder) is not None:
            log = folder / "_delta_log"
            for version in versions:
                sync(log / f"{version:020d}.json")
            sync(log)


def is_text(column: str, text: str) -> ds.Expression:
    """Whether a column of strings holds a text, for `read` and `delete`.

    Files that Delta has rewritten hold their strings as views, which Arrow 26 does not compare with
    strings; hence the cast.
    """
    return ds.field(column).cast(pa.string()) == text


def _integers(schema: pa.Schema) -> list[str]:
    """The columns that hold integers."""
    return [field.name for field in schema if pa.types.is_integer(field.type)]


def _texts(schema: pa.Schema) -> list[str]:
    """The Parquet columns that hold strings, alone or in lists."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    lists = [field for field in schema if pa.types.is_list(field.type)]
    return texts + [
        f"{field.name}.list.element" for field in lists if pa.types.is_string(field.type.value_type)
    ]
