"""The flags of a user's files: each command takes them all, and each is understood."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from ray_apps.cli.file_flags import FileFlags, takes_file_flags
from reaseq.datasets.errors import FileError
from reaseq.errors import ReaseqError

TYPED = {
    "events": ["a.csv", "b.csv"],
    "items": ["items.csv"],
    "mapping": ["user_id=customer", "item_id=sku"],
    "map_items": ["title=name"],
    "types": ["buy=purchase"],
    "where": "true",
    "sql": "SELECT 1",
    "columns": "a,b",
    "separator": ";",
    "time_unit": "s",
    "time_format": "%Y",
}
NAMES = {field: f"--{field.replace('_', '-')}" for field in TYPED} | {"mapping": "--map"}


def flags_of(*typed: str) -> tuple[FileFlags, int, bool]:
    """What a command with an argument and a flag of its own is given."""
    given: list[tuple[FileFlags, int, bool]] = []
    app = typer.Typer()

    @app.command()
    @takes_file_flags
    def command(
        files: FileFlags,
        number: Annotated[int, typer.Argument()],
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        given.append((files, number, loud))

    result = CliRunner().invoke(app, list(typed))
    assert result.exit_code == 0, result.output
    return given[0]


def test_every_flag_reaches_its_field() -> None:
    """Those that may be repeated as often as they are typed; the command keeps its own."""
    typed = ["7", "--loud"]
    for field, value in TYPED.items():
        for one in value if isinstance(value, list) else [value]:
            typed += [NAMES[field], one]
    assert list(TYPED) == [field.name for field in fields(FileFlags)]
    assert flags_of(*typed) == (FileFlags(**TYPED), 7, True)


def test_what_is_not_typed_is_left_out() -> None:
    """The defaults of the class."""
    assert flags_of("7") == (FileFlags(), 7, False)


@pytest.mark.parametrize(
    "flags",
    [
        {"mapping": ["user_id=customer"]},
        {"items": ["items.csv"]},
        {"map_items": ["title=name"]},
        {"types": ["buy=purchase"]},
        {"where": "true"},
        {"columns": "a,b"},
        {"separator": ";"},
        {"time_unit": "s"},
        {"time_format": "%Y"},
    ],
)
def test_flags_about_a_file_need_a_file(flags: dict[str, Any]) -> None:
    """They would be passed over in silence, and the bundled log be taken for the user's own."""
    with pytest.raises(FileError, match="--events"):
        FileFlags(**flags).is_bundled  # noqa: B018


def test_a_query_alone_is_a_source() -> None:
    """It may read what it likes by itself."""
    assert not FileFlags(sql="SELECT 1").is_bundled


def test_flags_become_options() -> None:
    """Repeated flags and lists in one come to the same."""
    flags = FileFlags(
        events=["x"],
        mapping=["user_id=customer,item_id=sku", "event_time=ts"],
        map_items=["title=name"],
        types=["buy=purchase,search="],
        columns="a, b",
        separator="\\t",
        time_unit="ms",
    )
    options = flags.options()
    assert options.mapping == {"user_id": "customer", "item_id": "sku", "event_time": "ts"}
    assert options.item_mapping == {"title": "name"}
    assert options.types == {"buy": "purchase", "search": None}
    assert options.columns == ("a", "b")
    assert options.separator == "\t"
    assert options.time_unit == "ms"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"time_unit": "minutes"}, "--time-unit minutes: choose among s, ms, us, ns"),
        ({"mapping": ["usr=customer"]}, "usr"),
        ({"map_items": ["user_id=x"]}, "--map-items"),
        ({"types": ["buy=bought"]}, "bought"),
        ({"mapping": ["user_id"]}, "user_id"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(flags: dict[str, Any], message: str) -> None:
    """By the flag, with what it may be; nothing is read first."""
    with pytest.raises(ReaseqError, match=message):
        FileFlags(events=["x"], **flags).options()
