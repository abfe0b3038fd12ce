"""Stages of a long command: a line when each is done, and its time for the report."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from ray_apps.runtime.progress import Stages


@pytest.fixture
def file() -> StringIO:
    return StringIO()


@pytest.fixture
def stages(file: StringIO) -> Stages:
    return Stages(Console(file=file, width=100))


def test_a_stage_that_is_done_is_ticked_off_with_its_time(stages: Stages, file: StringIO) -> None:
    """By its title for people, by its name for programs."""
    with stages.stage("load", "Load the catalogue") as stage:
        stage.at(1, 3)
        stage.advance(2, 3)
        stage.doing("writing")
    stages.say("a line between")
    lines = [line.strip() for line in file.getvalue().splitlines() if line.strip()]
    assert lines[0].startswith("✔ Load the catalogue 0.0 s")
    assert lines[1] == "a line between"
    assert stages.seconds["load"] == pytest.approx(0, abs=60)


def test_two_stages_of_one_name_add_up(stages: Stages) -> None:
    """The report has one figure for what comes in pieces."""
    stages.seconds["train"] = 100.0
    with stages.stage("train", "Train again"):
        pass
    assert 100.0 <= stages.seconds["train"] < 160


def test_a_stage_that_fails_is_not_ticked_off(stages: Stages, file: StringIO) -> None:
    """The error goes on; no tick says that it went well."""
    with pytest.raises(OSError, match="full"), stages.stage("load", "Load"):
        raise OSError("disk full")
    assert "✔" not in file.getvalue()
    assert stages.seconds == {}
