"""What separates the columns of a CSV file, what they are called, and whether a header says so."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from reaseq.datasets.errors import FileError

SEPARATORS = ("\t", ";", "|", "::", ",")
MIN_SHARE = 0.8
"""Of the first lines that must have equally many columns for a separator to be the one."""

_VALUE = re.compile(r"[+-]?\d+([.,]\d+)?|\d{4}-\d{2}-\d{2}([T ].*)?")
"""A number or a time: what no column is called."""


@dataclass(frozen=True)
class CsvLayout:
    """Separator, unique column names, and whether the first line holds them."""

    separator: str
    columns: tuple[str, ...]
    has_header: bool
    repeated: frozenset[str] = frozenset()
    """Names, in lower case, that more than one column of the header bears."""


def csv_layout(
    head: str, name: str, separator: str | None = None, columns: tuple[str, ...] = ()
) -> CsvLayout:
    """The layout of a file that starts with `head` (whole lines).

    A first line in which a number or a date stands is data: without `columns` its columns are
    called column0, column1, …. Raises FileError when `columns` are not as many as the file has.
    """
    separator = separator or _separator(head)
    first = next(iter(_rows(head, separator)), [])
    if columns:
        _check_number(first, columns, separator, name)
        return CsvLayout(separator, columns, has_header=False)
    if any(_VALUE.fullmatch(cell.strip()) for cell in first):
        names = tuple(f"column{number}" for number in range(len(first)))
        return CsvLayout(separator, names, has_header=False)
    return _with_header(separator, [cell.strip() for cell in first])


def _check_number(first: list[str], columns: tuple[str, ...], separator: str, name: str) -> None:
    if len(first) != len(columns):
        raise FileError(
            f"--columns names {len(columns)} columns but the first line of {name} has {len(first)} "
            f"at the separator {separator!r}: name all of them, or give --separator"
        )


def _with_header(separator: str, header: list[str]) -> CsvLayout:
    counts = Counter(cell.lower() for cell in header)
    seen: Counter[str] = Counter()
    names = []
    for number, cell in enumerate(header):
        seen[cell.lower()] += 1
        again = seen[cell.lower()]
        names.append(f"column{number}" if not cell else cell if again == 1 else f"{cell}_{again}")
    repeated = frozenset(cell for cell, count in counts.items() if cell and count > 1)
    return CsvLayout(separator, tuple(names), True, repeated)


def _separator(head: str) -> str:
    """The separator that gives most lines the same number of columns, and most columns."""
    best, best_key = ",", (False, 1)
    for separator in SEPARATORS:
        rows = _rows(head, separator)[:200]
        if not rows:
            continue
        num_columns, num_rows = Counter(map(len, rows)).most_common(1)[0]
        key = (len(rows[0]) == num_columns, num_columns)
        if num_rows >= MIN_SHARE * len(rows) and num_columns > 1 and key > best_key:
            best, best_key = separator, key
    return best


def _rows(head: str, separator: str) -> list[list[str]]:
    if len(separator) > 1:
        return [line.split(separator) for line in head.splitlines() if line]
    return [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=separator) if row]
