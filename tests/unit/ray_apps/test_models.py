"""The registry has versions in order, at most one champion, and a way back."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_apps.models import MAX_PROMOTIONS_CHARS, Models, Promotion, in_turn, sqlite_uri
from tests.processes import on_pipes
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry file without versions: making the tables takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("empty")
    models = Models(folder)
    models.discard(models.reserve())
    return folder / "registry.db"


@pytest.fixture
def models(tmp_path: Path, empty_registry: Path) -> Models:
    """The models of a home in which one training failed: the first version is the second."""
    (tmp_path / "models").mkdir()
    shutil.copy(empty_registry, tmp_path / "models")
    return Models(tmp_path / "models")


def train(models: Models, **tags: str) -> str:
    """Reserve, write a folder, complete."""
    version = models.reserve()
    models.folder_of(version).mkdir(parents=True)
    (models.folder_of(version) / "manifest.json").write_text("{}")
    models.complete(version, tags)
    return version


def test_looking_makes_nothing(tmp_path: Path) -> None:
    """Before the first training there is no version, no champion, and no file either."""
    models = Models(tmp_path / "models")
    assert models.versions() == []
    assert models.champion is None
    assert models.list() == []
    assert models.history() == []
    assert not (tmp_path / "models").exists()


# Versions


def test_a_version_serves_once_it_is_complete(models: Models) -> None:
    """A reserved name is in the list, but neither among the versions nor can it be promoted."""
    version = models.reserve()
    assert [(e.version, e.state) for e in models.list()] == [(version, "training")]
    assert models.versions() == []
    with pytest.raises(ValueError, match="still in training"):
        models.promote(version)
    with pytest.raises(ValueError, match="not complete: there is no"):
        models.complete(version, {})
    models.folder_of(version).mkdir()
    models.complete(version, {"trained_up_to_ms": "1700000000123", "seed": "7"})
    assert models.versions() == [version]
    assert models.list()[0].trained_up_to_ms == 1_700_000_000_123


def test_versions_are_numbered_in_the_order_they_come(models: Models) -> None:
    """Names rise, whoever finishes first, and a discarded one is not given again."""
    slow, failed = models.reserve(), models.reserve()
    models.folder_of(failed).mkdir()
    models.discard(failed)
    fast = train(models)
    models.folder_of(slow).mkdir()
    models.complete(slow, {})
    assert (slow, failed, fast) == ("v0002", "v0003", "v0004")
    assert models.versions() == [slow, fast]
    assert not models.folder_of(failed).exists()


def test_nobody_trains_over_a_folder(models: Models) -> None:
    """A folder from a registry that was lost keeps its name."""
    models.folder_of("v0002").mkdir()
    assert models.reserve() == "v0003"
    assert [entry.version for entry in models.list()] == ["v0003"]


def test_two_kinds_of_model_share_a_registry(models: Models, tmp_path: Path) -> None:
    """Generators have their own versions and champion in the ranker's file."""
    generators = Models(tmp_path / "gen", sqlite_uri(tmp_path / "models"), "reaseq-generator")
    ranker, generator = train(models), train(generators)
    generators.promote(generator)
    assert (models.champion, generators.champion) == (None, "v0001")
    assert (models.versions(), generators.versions()) == ([ranker], [generator])
    assert generators.folder_of(generator) == tmp_path / "gen" / "v0001"


def test_a_comparison_is_kept(models: Models) -> None:
    """Verdict and figures come back with the version, whatever the figures are called."""
    version = train(models)
    figures = {"NDCG@20": 0.1 + 0.2, "champion's NDCG@20": float("inf")}
    models.record(version, "refused", figures)
    entry = models.list()[0]
    assert (entry.verdict, entry.figures) == ("refused", figures)


# The champion


def test_a_promotion_is_seen_by_everyone_who_shares_the_registry(
    models: Models, tmp_path: Path
) -> None:
    """The latest promotion counts, and going back by hand is a promotion too."""
    first, second = train(models), train(models)
    other = Models(tmp_path / "models")
    for version in (first, second, first):
        models.promote(version)
        assert other.champion == version
        assert [e.version for e in other.list() if e.is_champion] == [version]


def test_an_unknown_version_is_not_promoted(models: Models) -> None:
    """The message lists what there is, and the champion stays."""
    with pytest.raises(ValueError, match="no model v0001; there are none"):
        models.promote("v0001")
    version = train(models)
    models.promote(version)
    for unknown in ("v0001", "v0009", "best", "../v0002"):
        with pytest.raises(ValueError, match=f"no model {unknown}; there are {version}"):
            models.promote(unknown)
    assert models.champion == version


def test_a_version_whose_folder_is_gone_does_not_serve(models: Models) -> None:
    """It is shown as gone and refused; the champion stays."""
    first, second = train(models), train(models)
    models.promote(first)
    shutil.rmtree(models.folder_of(second))
    assert [(e.version, e.state) for e in models.list()] == [(first, "complete"), (second, "gone")]
    assert models.versions() == [first]
    with pytest.raises(ValueError, match=f"folder of {second} is gone"):
        models.promote(second)
    assert models.champion == first


def test_the_champion_is_not_discarded(models: Models) -> None:
    """Discarding it would leave nobody to serve."""
    version = train(models)
    models.promote(version)
    with pytest.raises(ValueError, match="is the champion"):
        models.discard(version)
    assert models.versions() == [version]


# Back


def test_rollbacks_go_further_and_further_back(models: Models, tmp_path: Path) -> None:
    """Each rollback takes one promotion away, after a restart too; at the first there is an end."""
    first, second, third = train(models), train(models), train(models)
    for version in (first, second, third):
        models.promote(version, why=f"{version} won")
    assert models.rollback() == second
    again = Models(tmp_path / "models")
    assert again.rollback() == first
    assert models.champion == first
    with pytest.raises(ValueError, match=f"no champion before {first}.*: {second}, {third}"):
        models.rollback()
    assert models.champion == first
    assert [(p.version, p.is_rollback) for p in models.history()] == [
        (first, False),
        (second, False),
        (third, False),
        (second, True),
        (first, True),
    ]
    assert models.list()[2].last_promotion == models.history()[2]
    assert models.history()[2].why == f"{third} won"


def test_what_was_rolled_back_is_not_come_back_to(models: Models) -> None:
    """After 1, 2, back to 1 and 3, going back from 3 is going to 1."""
    first, second, third = train(models), train(models), train(models)
    models.promote(first)
    models.promote(second)
    models.rollback()
    models.promote(third)
    assert models.rollback() == first


def test_a_rollback_passes_over_what_cannot_serve(models: Models) -> None:
    """A former champion whose folder is gone is skipped."""
    first, second, third = train(models), train(models), train(models)
    for version in (first, second, third):
        models.promote(version)
    shutil.rmtree(models.folder_of(second))
    assert models.rollback() == first


def test_there_is_nothing_before_the_first(models: Models) -> None:
    """Without any promotion, or with one, there is no way back, and the message says so."""
    with pytest.raises(ValueError, match="no champion before None"):
        models.rollback()
    models.promote(train(models))
    with pytest.raises(ValueError, match="promoted: none"):
        models.rollback()


def test_a_promotion_in_mlflow_itself_counts(models: Models, tmp_path: Path) -> None:
    """The alias alone says who serves; a rollback from there goes to the champion before."""
    from mlflow import MlflowClient

    first, second = train(models), train(models)
    models.promote(first)
    uri = sqlite_uri(tmp_path / "models")
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.set_registered_model_alias("reaseq-ranker", "champion", str(int(second[1:])))
    assert models.champion == second
    assert models.rollback() == first


def test_the_oldest_promotions_are_forgotten(models: Models) -> None:
    """History fits in a tag, however long the reasons, and the newest are there."""
    version = train(models)
    for count in range(4):
        models.promote(version, why=f"{count}" * (MAX_PROMOTIONS_CHARS // 3))
    assert [promotion.why[0] for promotion in models.history()] == ["2", "3"]


@given(st.lists(st.sampled_from(["v0001", "v0002", "v0003", "back"]), max_size=20))
def test_the_way_back_is_a_stack(steps: list[str]) -> None:
    """Promotions push, rollbacks pop: the history says what a stack beside it holds."""
    history: list[Promotion] = []
    stack: list[str] = []
    for step in steps:
        if step == "back":
            former = [version for version in stack if version != stack[-1]]
            if not former:
                continue
            while stack[-1] != former[-1]:
                stack.pop()
        elif not stack or stack[-1] != step:
            stack.append(step)
        history.append(Promotion(stack[-1], datetime.now(UTC), "", step == "back"))
    assert in_turn(history) == stack


# Who else is there

TRAINER = """
import sys
from pathlib import Path
from ray_apps.models import Models

models = Models(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    version = models.reserve()
    models.folder_of(version).mkdir()
    models.complete(version, {})
    models.promote(version)
    print(version, flush=True)
"""


def test_two_processes_begin_at_once(tmp_path: Path) -> None:
    """Both make the registry, train and promote: no name is given twice, no promotion lost."""
    program = [sys.executable, "-W", "error::UserWarning", "-c", TRAINER, str(tmp_path / "models")]
    with ExitStack() as stack:
        processes = [on_pipes(stack, program, cwd=ROOT, stderr=PIPE) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=PATIENCE_S) for process in processes]
    assert [error for _, error in outputs] == ["", ""], "MLflow is quiet"
    names = sorted(name for output, _ in outputs for name in output.split())
    assert names == [f"v{number:04d}" for number in range(1, 7)]
    models = Models(tmp_path / "models")
    assert models.versions() == names
    assert sorted(promotion.version for promotion in models.history()) == names
    assert models.champion == models.history()[-1].version


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """The error comes at once, says which setting to look at, and shows no password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        models = Models(tmp_path, f"http://me:hush@127.0.0.1:{port}")
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(ValueError, match=r"registry\.uri") as error:
                _ = models.champion
            assert "hush" not in str(error.value)
        # MLflow by itself would try again for minutes.
        assert time.monotonic() - started < 60


def test_a_registry_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A file that is no registry is told as the setting, too."""
    (tmp_path / "registry.db").write_text("no database at all, but long enough to be one" * 100)
    with pytest.raises(ValueError, match=r"registry\.uri"):
        _ = Models(tmp_path).champion
