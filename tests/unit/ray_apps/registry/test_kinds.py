"""`ray_apps.registry.kinds`: a kind of model is a row, and a third one needs no other change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from ray_apps.cli.registry_commands import list_models, promote_command, rollback_command
from ray_apps.registry.kinds import MODEL_KINDS, kind_of, load_version, registry_of
from ray_apps.settings import RegistrySettings, Settings
from ray_apps.training.retrain import retrain
from ray_apps.training.train import fit_here, train_and_register
from reaseq.artifacts import read_trained_up_to_ms
from reaseq.training.loop import EpochReport
from tests.printing import keeping_console, printed
from tests.unit.ray_apps.registry.toy_kind import TOY


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """The third row."""
    monkeypatch.setitem(MODEL_KINDS, TOY.name, TOY)
    return TOY.name


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home)


@pytest.fixture
def console() -> Console:
    return keeping_console()


def test_a_third_kind_is_trained_listed_promoted_and_rolled_back(
    toy: str, settings: Settings, console: Console
) -> None:
    """By the functions of the command line; only the fit runs here and not on Ray Train."""
    epochs: list[EpochReport] = []
    steps: list[tuple[str, int, int]] = []
    manifest = train_and_register(
        settings,
        toy,
        seed=3,
        on_epoch=epochs.append,
        on_progress=lambda *step: steps.append(step),
        fitter=fit_here,
    )
    assert manifest.version == "v0001"
    assert [report.epoch for report in epochs] == list(range(30))
    assert steps == [("counting to three", 3, 3)]
    registry = registry_of(settings, toy)
    assert registry.folder_of("v0001") == settings.home / "toys" / "v0001"
    assert read_trained_up_to_ms(registry.folder_of("v0001")) == 7
    assert load_version(settings, toy, "v0001") == pytest.approx(3.0, abs=0.05)

    promote_command(settings, console, "v0001", toy)
    assert registry_of(settings, toy).champion == "v0001"
    outcome = retrain(settings, toy, fitter=fit_here)
    assert (outcome.promoted, outcome.champion, outcome.why) == (True, "v0001", "newly trained")
    assert registry_of(settings, toy).champion == "v0002"
    rollback_command(settings, console, toy)
    assert registry_of(settings, toy).champion == "v0001"

    list_models(settings, console)
    shown = printed(console)
    assert "toy, judged by closeness" in shown
    assert "v0001 champion" in shown
    assert shown.count("v0002") == 1
    # Its versions are its own.
    assert registry_of(settings, "ranker").versions() == []


def test_the_round_of_the_command_line_says_what_came_of_it(
    toy: str, settings: Settings, console: Console
) -> None:
    """The first version takes over, and what follows a promotion is done and said."""
    from ray_apps.cli.model_commands import one_round

    one_round(settings, console, 0, toy, fit_here)
    assert printed(console).splitlines() == [
        "toy v0001 takes over: the first toy",
        "v0001 was followed up",
    ]


def test_a_training_that_fails_leaves_nothing(toy: str, settings: Settings) -> None:
    """Neither a version nor a folder, and its name is not given again."""
    with pytest.raises(OSError, match="no space"):
        train_and_register(settings, toy, seed=-1, fitter=lambda *_: {})
    assert registry_of(settings, toy).versions() == []
    assert list((settings.home / "toys").glob("*v0001*")) == []


def test_every_kind_keeps_apart_from_the_others(toy: str, settings: Settings) -> None:
    """No two share a folder or a registered name, and a row is found under its own name."""
    rows = MODEL_KINDS.values()
    assert len({row.folder for row in rows}) == len({row.registered_name for row in rows}) == 3
    assert {name: row.name for name, row in MODEL_KINDS.items()} == {n: n for n in MODEL_KINDS}


@pytest.mark.parametrize("name", list(MODEL_KINDS))
def test_the_functions_of_a_row_are_there(name: str) -> None:
    """An import path that leads nowhere would fail only when a training is over."""
    row = kind_of(name)
    for path in (row.prepare, row.load, row.compare, row.follow_up):
        assert path is None or callable(resolve_name(path))


def test_the_settings_of_a_row_are_its_section(settings: Settings) -> None:
    """What is set there is what the training is logged with."""
    assert kind_of("ranker").settings_of(settings) == settings.ranker
    assert kind_of("generator").settings_of(settings) == settings.generator


def test_the_ranker_needs_a_generator_where_it_looks_at_what_one_generates() -> None:
    """Else the first `reaseq retrain` would train a ranker on nothing generated."""
    bare = Settings(ranker=Settings().ranker.model_copy(update={"use_generated": False}))
    assert kind_of("ranker").needs(Settings()) == ("generator",)
    assert kind_of("ranker").needs(bare) == ()


def test_an_unknown_kind_names_those_there_are(settings: Settings) -> None:
    """A slip of the keyboard is no defect."""
    with pytest.raises(ValueError, match="no kind of model 'rnaker'; there are ranker, generator"):
        registry_of(settings, "rnaker")


def test_one_registry_can_hold_all_kinds(tmp_path: Path) -> None:
    """A setting names it; the folders stay under the home."""
    uri = f"sqlite:///{tmp_path / 'all.db'}"
    settings = Settings(home=tmp_path, registry=RegistrySettings(uri=SecretStr(uri)))
    for name in MODEL_KINDS:
        assert registry_of(settings, name).folder_of("v0001").is_relative_to(tmp_path)


def test_the_command_line_takes_the_kinds_of_the_table() -> None:
    """`--model` lists them and refuses others."""
    from ray_apps.cli.app import app

    answer = CliRunner().invoke(app, ["models", "promote", "v0001", "--model", "nothing"])
    assert answer.exit_code == 2
    assert all(name in answer.output for name in MODEL_KINDS)


def test_asking_for_help_loads_no_heavy_library() -> None:
    """Rows are names, so the table costs nothing."""
    code = (
        "import sys, ray_apps.cli.app, ray_apps.cli.registry_commands\n"
        "print([m for m in ('torch', 'ray', 'mlflow', 'feast') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.strip() == "[]"
