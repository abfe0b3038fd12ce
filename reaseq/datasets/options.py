"""How to read a user's files: everything that the flags of `reaseq replay` can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns"]

TIME_UNITS: tuple[TimeUnit, ...] = ("s", "ms", "us", "ns")


@dataclass(frozen=True)
class ReadOptions:
    """Options of one reading; the defaults suit a file that uses our own column names."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    """Field of an event → column or SQL expression (`reaseq.datasets.mapping.EVENT_FIELDS`)."""

    item_mapping: Mapping[str, str] = field(default_factory=dict)
    """The same for the file of items (`ITEM_FIELDS`)."""

    types: Mapping[str, str | None] = field(default_factory=dict)
    """Event type of the file, in any case → ours, or None to leave such rows out."""

    where: str | None = None
    """SQL condition on the file's columns; other rows are left out and counted."""

    sql: str | None = None
    """A query whose rows are the events; the files given are its table `events`."""

    time_unit: TimeUnit | None = None
    """Unit of times that are numbers; None: recognised by their size."""

    time_format: str | None = None
    """strptime format of the times; None: ISO 8601 or numbers."""

    columns: tuple[str, ...] = ()
    """Names of the columns of an event file without a header."""

    separator: str | None = None
    """What separates the columns of an event file; None: recognised."""

    memory_limit: str = "1GB"
    """Memory that DuckDB may use before it spills to the temporary directory."""
