"""The flags that describe a user's files, and what is shown of the reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from ray_apps.cli.data_sources import open_source, read_source, show_preview, show_report
from ray_apps.cli.file_flags import FileFlags
from reaseq.datasets.errors import FileError
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.report import LeftOut, Preview, ReadReport
from reaseq.datasets.stored_log import StoredLog
from tests.printing import keeping_console, printed


@pytest.fixture
def console() -> Console:
    return keeping_console()


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Two users, one of them with one event, and a row without a user."""
    file = tmp_path / "log.csv"
    file.write_text(
        "user_id,item_id,event_time\n"
        "ann,tea,2024-01-01T10:00:00Z\n"
        "ann,cup,2024-01-02T10:00:00Z\n"
        "bob,tea,2024-01-03T10:00:00Z\n"
        ",tea,2024-01-04T10:00:00Z\n"
    )
    return file


def test_no_flag_means_the_bundled_log() -> None:
    """The newcomer's case: nothing to say."""
    assert FileFlags().is_bundled
    with open_source(FileFlags()) as source:
        assert isinstance(source, EventLog)
        assert source.events.num_rows > 300_000


def test_a_file_is_opened_without_being_held(log_file: Path) -> None:
    """What was left out is known beside the log."""
    with open_source(FileFlags(events=[str(log_file)])) as source:
        assert isinstance(source, StoredLog)
        assert source.num_events == 3
        assert [(one.count, one.reason) for one in source.report().left_out] == [
            (1, "without a usable user_id")
        ]


def test_the_busiest_users_can_be_read_alone(log_file: Path) -> None:
    """For a shorter demo."""
    log = read_source(FileFlags(events=[str(log_file)]), num_users=1)
    assert set(log.events["user_id"].to_pylist()) == {"ann"}
    assert read_source(FileFlags(events=[str(log_file)]), None).events.num_rows == 3


def test_a_file_without_an_event_says_why(tmp_path: Path) -> None:
    """Not an empty run that looks like success."""
    file = tmp_path / "log.csv"
    file.write_text("user_id,item_id,event_time\n,tea,2024-01-01\n,cup,2024-01-01\n")
    flags = FileFlags(events=[str(file)])
    with pytest.raises(FileError, match=r"no usable event.*2 without a usable user_id"):
        with open_source(flags):
            pass


def test_the_preview_shows_what_was_taken_for_what(console: Console) -> None:
    """Fields beside their source, three rows, times as people read them; brackets stay text."""
    example = {
        "user_id": "ann",
        "item_id": "[bold]tea[/bold]",
        "event_type": "view",
        "event_time_ms": 1_700_000_000_000,
        "value": 4.5,
        "event_id": "e1",
    }
    show_preview(
        Preview(
            {"user_id": "customer", "item_id": "sku[1]"},
            {"title": "name"},
            (example, {**example, "value": None}),
            1234,
            5,
        ),
        console,
    )
    shown = printed(console)
    assert "events  user_id ← customer, item_id ← sku[1]" in shown
    assert "items  title ← name" in shown
    assert "first of 1,234 events" in shown
    assert "2023-11-14T22:13:20Z" in shown
    assert "[bold]tea[/bold]" in shown
    assert "│ 4.5" in shown
    assert "│ –" in shown


def test_the_preview_of_a_log_alone_has_no_line_about_items(console: Console) -> None:
    """An empty line would look like a mistake."""
    show_preview(Preview({"user_id": "u"}, {}, (), 0, 0), console)
    assert "items" not in printed(console)


def test_the_report_names_each_reason_with_an_example(console: Console) -> None:
    """Rows left out, values that could not be read, and what looks odd."""
    report = ReadReport(
        (LeftOut("without a usable user_id", 1200, "item_id=tea"), LeftOut("not wanted", 3, "")),
        (LeftOut("price is not a number", 2, "price=[free]"),),
        ("one user has 40% of the events",),
    )
    show_report(report, console)
    lines = printed(console).splitlines()
    assert lines == [
        "left out 1,200 rows: without a usable user_id, for example item_id=tea",
        "left out 3 rows: not wanted",
        "unreadable 2 rows: price is not a number, for example price=[free]",
        "note one user has 40% of the events",
    ]
