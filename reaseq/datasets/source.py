"""The fields of an event, or of an item, as SQL on the columns of a user's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from reaseq.datasets.csv_layout import CsvLayout
from reaseq.datasets.errors import FileError
from reaseq.datasets.relation import Relation, first_line_of, identifier
from reaseq.datasets.values import text_sql

TEXT_HINT = "columns of CSV and JSON are text: write number(column) to calculate or compare"


@dataclass(frozen=True)
class Source:
    """A view of a connection, with what is needed to speak of it."""

    view: str
    columns: tuple[str, ...]
    file: str
    option: str
    """The flag that maps it, for messages: --map or --map-items."""

    layout: CsvLayout | None

    @classmethod
    def of(
        cls,
        con: duckdb.DuckDBPyConnection,
        view: str,
        relation: Relation,
        option: str,
    ) -> Source:
        """Make the view. Raises FileError where DuckDB cannot read the relation."""
        try:
            con.execute(f"CREATE TEMP VIEW {view} AS SELECT * FROM {relation.sql}")
        except duckdb.Error as error:
            message = f"{relation.first} cannot be read: {first_line_of(error)}"
            raise FileError(f"{message}. Check that it is whole, or give --sql") from None
        columns = tuple(con.table(view).columns)
        return cls(view, columns, relation.first, option, relation.layout)

    def fields(
        self,
        con: duckdb.DuckDBPyConnection,
        mapping: Mapping[str, str],
        required: tuple[str, ...],
        optional: tuple[str, ...],
    ) -> dict[str, tuple[str, str]]:
        """Field → what it is taken from, as the user reads it, and its SQL as text.

        A field that is not mapped is the column of its own name, if there is one. Raises FileError.
        """
        fields = {}
        for field in (*required, *(f for f in (*optional, *mapping) if f not in required)):
            wanted = mapping.get(field, field)
            column = self._column(wanted, field)
            if column is None and field not in mapping:
                if field in required:
                    raise FileError(self._without(wanted, field))
                continue
            sql = identifier(column) if column is not None else wanted
            fields[field] = (column or wanted, text_sql(sql, self._kind(con, sql, field)))
        return fields

    def _column(self, wanted: str, field: str) -> str | None:
        """The column so called, if need be in other case."""
        if self.layout and wanted.lower() in self.layout.repeated:
            raise FileError(f"{self.file} has two columns '{wanted}': rename the wrong one")
        by_lower_case = {name.lower(): name for name in self.columns}
        return wanted if wanted in self.columns else by_lower_case.get(wanted.lower())

    def _kind(self, con: duckdb.DuckDBPyConnection, sql: str, field: str) -> str:
        """DuckDB's type of an expression. Raises FileError where it is none, or a list."""
        try:
            kind = con.sql(f"SELECT ({sql}) FROM {self.view}").types[0]
        except duckdb.Error as error:
            if re.fullmatch(r"[\w .-]+", sql):
                raise FileError(self._without(sql, field)) from None
            message = f"{self.option} {field}={sql}: {first_line_of(error)}"
            raise FileError(f"{message} ({TEXT_HINT})") from None
        if kind.id in ("list", "struct", "map", "array"):
            raise FileError(f"{field} is {kind}: name a value in it, or unnest it with --sql")
        return str(kind)

    def _without(self, wanted: str, field: str) -> str:
        """Say whether the header, the separator or only the name is the matter."""
        have = ", ".join(self.columns)
        if self.layout and not self.layout.has_header:
            how = "name its columns with --columns, " if self.option == "--map" else ""
            return (
                f"{self.file} has no header, so no column '{wanted}' for {field}: {how}"
                f"or use {have} in {self.option}"
            )
        if self.layout and len(self.columns) == 1:
            return (
                f"{self.file} has one column, '{have}', at the separator {self.layout.separator!r}:"
                " give the right one with --separator"
            )
        no_header = " (if that line is data: --columns)" if self._may_lack_header else ""
        return (
            f"no column '{wanted}' for {field}; {self.file} has {have}{no_header}. "
            f"Name it with {self.option} {field}=COLUMN"
        )

    @property
    def _may_lack_header(self) -> bool:
        return self.layout is not None and self.option == "--map"
