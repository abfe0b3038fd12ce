"""The flags that name and describe a user's files, declared once for all commands that read files.

`takes_file_flags` lets a command have them all by one parameter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from reaseq.datasets.options import ReadOptions


@dataclass(frozen=True)
class FileFlags:
    """The flags, as they were typed."""

    events: Annotated[
        list[str] | None,
        typer.Option(
            "--events",
            help="CSV, JSON or Parquet, gzip or zip, a glob or s3://…; may be repeated. "
            "The bundled Online Retail if left out. See docs/your-data.md.",
        ),
    ] = None
    items: Annotated[
        list[str] | None,
        typer.Option("--items", help="File of items with their titles, prices, descriptions."),
    ] = None
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Which column, or SQL, is what: user_id=customer,item_id=sku,event_time=ts. "
            "Fields: user_id, item_id, event_time; if there are: event_id, event_type, value, "
            "title, price, description. May be repeated.",
        ),
    ] = None
    map_items: Annotated[
        list[str] | None,
        typer.Option(
            "--map-items", help="The same for --items: item_id, title, price, description."
        ),
    ] = None
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--types", help="Names of event types in the file: buy=purchase,search= (left out)."
        ),
    ] = None
    where: Annotated[
        str | None, typer.Option("--where", help="Only rows for which this SQL holds.")
    ] = None
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql", help="A query that makes the rows; the files are its table `events`."
        ),
    ] = None
    columns: Annotated[
        str, typer.Option("--columns", help="Names of all columns of a file without a header.")
    ] = ""
    separator: Annotated[
        str | None, typer.Option("--separator", help="Between columns, if not recognised.")
    ] = None
    time_unit: Annotated[
        str | None, typer.Option("--time-unit", help="Of times that are numbers: s, ms, us or ns.")
    ] = None
    time_format: Annotated[
        str | None, typer.Option("--time-format", help="Of the times, e.g. '%d.%m.%Y %H:%M'.")
    ] = None

    @property
    def is_bundled(self) -> bool:
        """Whether the bundled data set is meant. Raises FileError for flags without a file."""
        from reaseq.datasets.errors import FileError

        if self.events or self.sql:
            return False
        if any(getattr(self, field.name) for field in fields(self)):
            raise FileError("--map, --types and their like describe a file: name it with --events")
        return True

    def options(self) -> ReadOptions:
        """The flags, understood. Raises FileError."""
        from reaseq.datasets.errors import FileError
        from reaseq.datasets.mapping import ITEM_FIELDS, parse_columns, parse_mapping, parse_types
        from reaseq.datasets.options import TIME_UNITS, ReadOptions

        unit = next((unit for unit in TIME_UNITS if unit == self.time_unit), None)
        if self.time_unit and unit is None:
            raise FileError(f"--time-unit {self.time_unit}: choose among {', '.join(TIME_UNITS)}")
        return ReadOptions(
            mapping=parse_mapping(self.mapping or ()),
            item_mapping=parse_mapping(self.map_items or (), ITEM_FIELDS, "--map-items"),
            types=parse_types(self.types or ()),
            where=self.where,
            sql=self.sql,
            time_unit=unit,
            time_format=self.time_format,
            columns=parse_columns(self.columns),
            separator=self.separator and self.separator.replace("\\t", "\t"),
        )


def takes_file_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of `FileFlags` in place of its first parameter, `files`.

    Typer reads a command's flags from its signature; this puts each field of the class there.
    """
    _, *others = inspect.signature(command, eval_str=True).parameters.values()
    hints = get_type_hints(FileFlags, include_extras=True)
    flags = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(FileFlags)
    ]
    names = {flag.name for flag in flags}
    keywords = [other.replace(kind=inspect.Parameter.KEYWORD_ONLY) for other in others]

    @wraps(command)
    def with_flags(**given: Any) -> None:
        files = FileFlags(**{name: given.pop(name) for name in names})
        command(files, **given)

    parameters = [*flags, *keywords]
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_flags
