"""A user's files as a log: CSV, JSON or Parquet, read by DuckDB in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from reaseq.datasets.errors import FileError
from reaseq.datasets.findings import count_of, rejected_lines
from reaseq.datasets.loading import check_rows, load_raw, make_events, make_items
from reaseq.datasets.mapping import DESCRIPTIONS, OPTIONAL, REQUIRED
from reaseq.datasets.options import ReadOptions
from reaseq.datasets.relation import Relation, files_relation
from reaseq.datasets.source import Source
from reaseq.datasets.stored_log import StoredLog
from reaseq.datasets.times import TIME_MACRO
from reaseq.datasets.values import NUMBER_MACROS


@contextmanager
def open_log(
    events: Sequence[str], items: Sequence[str] = (), options: ReadOptions | None = None
) -> Iterator[StoredLog]:
    """Read files of events, and of items, into a database that lives until the end.

    `events` and `items` are paths, globs, zip members or addresses
    (`reaseq.datasets.remote.local_paths`). What exceeds `options.memory_limit` is kept in a
    temporary directory until the end. Raises FileError, saying what to do, when a file, a column or
    a time cannot be understood; rows that are not events are left out and counted.
    """
    options = options or ReadOptions()
    with TemporaryDirectory(prefix="reaseq-log-") as name:
        folder = Path(name)
        con = duckdb.connect(
            ":memory:",
            config={"memory_limit": options.memory_limit, "temp_directory": str(folder / "spill")},
        )
        try:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(NUMBER_MACROS + TIME_MACRO)
            yield _loaded(con, folder, events, items, options)
        finally:
            con.close()


def _loaded(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    events: Sequence[str],
    items: Sequence[str],
    options: ReadOptions,
) -> StoredLog:
    source, notes = _event_source(con, folder, events, options)
    fields = source.fields(con, options.mapping, REQUIRED, OPTIONAL)
    has_ids, has_types = "event_id" in fields, "event_type" in fields
    load_raw(con, {name: sql for name, (_, sql) in fields.items()}, source.view, options.where)
    _refuse_if_only_rejects(con, source)
    check_rows(con, options, has_types, has_ids)
    make_events(con, has_ids)
    taken = {name: shown for name, (shown, _) in fields.items()}
    notes = (*notes, *_unused_descriptions(source, taken, items))
    taken_for_items, item_notes = _load_items(con, folder, items, options)
    return StoredLog(con, taken, taken_for_items, (*notes, *item_notes), has_ids)


def _event_source(
    con: duckdb.DuckDBPyConnection, folder: Path, events: Sequence[str], options: ReadOptions
) -> tuple[Source, tuple[str, ...]]:
    """The view that holds the columns, and what was noticed about its files."""
    if not events and not options.sql:
        raise FileError("there is nothing to read: name a file with --events")
    notes: tuple[str, ...] = ()
    if events:
        files = files_relation(con, events, folder, options.separator, options.columns)
        source, notes = Source.of(con, "events", files, "--map"), files.notes
    if options.sql:
        query = Relation(f"({options.sql.strip().rstrip(';')})", "--sql")
        source = Source.of(con, "selected", query, "--map")
    return source, notes


def _unused_descriptions(
    source: Source, taken: Mapping[str, str], items: Sequence[str]
) -> tuple[str, ...]:
    """Columns that could describe items but may as well be a review's, so were not taken."""
    used = {*taken, *taken.values()}
    unused = [name for name in DESCRIPTIONS if name in source.columns and name not in used]
    if items or not unused:
        return ()
    flags = ",".join(f"{name}={name}" for name in unused)
    return (f"{', '.join(unused)} of the events not taken: if of the item, add --map {flags}",)


def _refuse_if_only_rejects(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    if source.layout and not count_of(con, "raw") and rejected_lines(con):
        raise FileError(
            f"no line of {source.file} has the {len(source.columns)} columns of its first one at "
            f"the separator {source.layout.separator!r}: give the right one with --separator, or "
            "name all columns with --columns"
        )


def _load_items(
    con: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[str], options: ReadOptions
) -> tuple[dict[str, str], tuple[str, ...]]:
    if not items:
        if options.item_mapping:
            raise FileError("--map-items describes a file of items: name it with --items")
        make_items(con, {}, None)
        return {}, ()
    files = files_relation(con, items, folder)
    source = Source.of(con, "item_rows", files, "--map-items")
    fields = source.fields(con, options.item_mapping, ("item_id",), DESCRIPTIONS)
    make_items(con, {name: sql for name, (_, sql) in fields.items()}, source.view)
    return {name: shown for name, (shown, _) in fields.items()}, files.notes
