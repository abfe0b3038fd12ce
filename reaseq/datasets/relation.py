"""A user's files as one SQL relation of text columns: nothing is guessed to be a number."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb.sqltypes import DuckDBPyType

from reaseq.datasets.archive import unpacked
from reaseq.datasets.csv_layout import CsvLayout, csv_layout
from reaseq.datasets.encoding import PIECE, UTF16_MARKS, as_utf8, is_gzip, opened
from reaseq.datasets.errors import FileError
from reaseq.datasets.remote import local_paths

HEAD_BYTES = 1 << 16
PARQUET = b"PAR1"


@dataclass(frozen=True)
class Relation:
    """SQL that reads files, and what was noticed about them."""

    sql: str
    first: str
    """Name of the first file, for messages."""

    layout: CsvLayout | None = None
    """Of the first file, where it is CSV."""

    notes: tuple[str, ...] = ()


def files_relation(
    con: duckdb.DuckDBPyConnection,
    addresses: Sequence[str],
    folder: Path,
    separator: str | None = None,
    columns: tuple[str, ...] = (),
) -> Relation:
    """The rows of all files, one below the other by column name.

    Copies that are needed go below `folder`. CSV and JSON values are text as written; Parquet keeps
    its types. Lines that are not readable go to the table `reject_errors`. Raises FileError.
    """
    found = [
        _file_relation(con, path, folder, separator, columns)
        for path in local_paths(addresses, folder)
    ]
    sql = " UNION ALL BY NAME ".join(f"SELECT * FROM {one.sql}" for one in found)
    notes = tuple(note for one in found for note in one.notes)
    return Relation(f"({sql})", found[0].first, found[0].layout, notes)


def _file_relation(
    con: duckdb.DuckDBPyConnection,
    source: Path,
    folder: Path,
    separator: str | None,
    columns: tuple[str, ...],
) -> Relation:
    path = unpacked(source, folder)
    with path.open("rb") as file:
        if file.read(4) == PARQUET:
            return Relation(f"read_parquet({literal(str(path))})", source.name)
    _check_text(path, source)
    path, encoding = as_utf8(path, folder)
    notes = (f"{source.name} is not UTF-8: read as {encoding}",) if encoding else ()
    head = _head(path)
    if not head.strip():
        raise FileError(f"{source} is empty: give the file that holds the events")
    if head.lstrip()[0] in "[{":
        return Relation(_json(con, path, head.lstrip(), source), source.name, None, notes)
    layout = csv_layout(head, source.name, separator, columns)
    return Relation(_csv(path, layout), source.name, layout, notes)


def _check_text(path: Path, source: Path) -> None:
    """Raise FileError for a file that is not text, or whose packing is damaged."""
    try:
        with opened(path) as file:
            start = file.read(HEAD_BYTES)
            while is_gzip(path) and file.read(PIECE):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{source} cannot be read ({error}): copy it again") from None
    if b"\0" in start and start[:2] not in UTF16_MARKS:
        raise FileError(f"{source} is not CSV, JSON or Parquet: export it as one of them")


def _head(path: Path) -> str:
    """Whole lines from the start of a file."""
    with opened(path) as file:
        start = file.read(HEAD_BYTES)
    text = start.decode("utf-8-sig", "replace")
    lines, newline, _ = text.rpartition("\n")
    return lines + newline if newline and len(start) == HEAD_BYTES else text


def _csv(path: Path, layout: CsvLayout) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
    return (
        f"read_csv({_packed(path)}, auto_detect=false, delim={literal(layout.separator)}, "
        f"header={str(layout.has_header).lower()}, quote='\"', escape='\"', "
        f"columns={{{columns}}}, store_rejects=true)"
    )


def _json(con: duckdb.DuckDBPyConnection, path: Path, head: str, source: Path) -> str:
    """JSON with every leaf as text, so that "0123" and long numbers stay as written."""
    first_line = head.partition("\n")[0].rstrip()
    is_lines = head[0] == "{" and (first_line.endswith("}") or "\n" not in head)
    form = "array" if head[0] == "[" else "newline_delimited" if is_lines else "unstructured"
    options = f"format='{form}', ignore_errors={str(is_lines).lower()}"
    reader = f"read_json({_packed(path)}, {options}"
    try:
        guessed = con.sql(f"SELECT * FROM {reader}, map_inference_threshold=-1)")
        pairs = zip(guessed.columns, guessed.types, strict=True)
    except duckdb.Error as error:
        raise FileError(f"{source} cannot be read as JSON: {first_line_of(error)}") from None
    columns = ", ".join(f"{literal(name)}: {literal(_as_text(kind))}" for name, kind in pairs)
    return f"{reader}, columns={{{columns}}})"


def _as_text(kind: DuckDBPyType) -> str:
    """The type with VARCHAR for every leaf."""
    if kind.id not in ("list", "struct"):
        return "VARCHAR"
    children = [(name, _as_text(child)) for name, child in _children(kind)]
    if kind.id == "list":
        return f"{children[0][1]}[]"
    return f"STRUCT({', '.join(f'{identifier(name)} {text}' for name, text in children)})"


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return [(name, child) for name, child in kind.children if isinstance(child, DuckDBPyType)]


def _packed(path: Path) -> str:
    """The path and its compression, which the name need not tell."""
    return f"{literal(str(path))}, compression='{'gzip' if is_gzip(path) else 'none'}'"


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def first_line_of(error: Exception) -> str:
    """DuckDB's message without its hints."""
    return str(error).partition("\n")[0]
