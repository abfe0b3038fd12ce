"""The registry has versions in order, at most one champion, and a way back."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_apps.registry.errors import RegistryError, RegistryUnavailableError
from ray_apps.registry.promotions import Promotion, champions_in_turn
from ray_apps.registry.registry import Registry, sqlite_uri
from tests.unit.ray_apps.registry.training import train

ROOT = Path(__file__).parents[4]


def test_looking_makes_nothing(tmp_path: Path) -> None:
    """Before the first training there is no version, no champion, and no file either."""
    registry = Registry(tmp_path / "models")
    assert registry.versions() == []
    assert registry.champion is None
    assert registry.list() == []
    assert registry.history() == []
    assert not (tmp_path / "models").exists()


# Versions


def test_a_version_serves_once_it_is_complete(registry: Registry) -> None:
    """In training it is in the list, but neither among the versions nor can it be promoted."""
    with registry.begin({}) as run:
        assert [(e.version, e.state) for e in registry.list()] == [(run.version, "training")]
        assert registry.versions() == []
        with pytest.raises(RegistryError, match="still in training"):
            registry.promote(run.version)
        with pytest.raises(RegistryError, match="not complete: there is no"):
            run.complete({})
        run.folder.mkdir()
        run.complete({"trained_up_to_ms": "1700000000123", "seed": "7"})
    assert registry.versions() == [run.version]
    assert registry.list()[0].trained_up_to_ms == 1_700_000_000_123


def test_versions_are_numbered_in_the_order_they_come(registry: Registry) -> None:
    """Names rise, whoever finishes first, and a discarded one is not given again."""
    with registry.begin({}) as slow:
        failed = train(registry)
        registry.discard(failed)
        fast = train(registry)
        slow.folder.mkdir()
        slow.complete({})
    assert (slow.version, failed, fast) == ("v0001", "v0002", "v0003")
    assert registry.versions() == [slow.version, fast]
    assert not registry.folder_of(failed).exists()


def test_nobody_trains_over_a_folder(registry: Registry) -> None:
    """A folder from a registry that was lost keeps its name."""
    registry.folder_of("v0001").mkdir()
    assert train(registry) == "v0002"
    assert [entry.version for entry in registry.list()] == ["v0002"]


def test_two_kinds_of_model_share_a_registry(registry: Registry, tmp_path: Path) -> None:
    """Generators have their own versions and champion in the ranker's file."""
    generators = Registry(tmp_path / "gen", sqlite_uri(tmp_path / "models"), "reaseq-generator")
    ranker, generator = train(registry), train(generators)
    generators.promote(generator)
    assert (registry.champion, generators.champion) == (None, "v0001")
    assert (registry.versions(), generators.versions()) == ([ranker], [generator])
    assert generators.folder_of(generator) == tmp_path / "gen" / "v0001"


def test_a_comparison_is_kept(registry: Registry) -> None:
    """Verdict and figures come back with the version; the newest comparison counts."""
    version = train(registry)
    registry.record(version, "refused", {"ndcg_at_20": 0.5, "champion_ndcg_at_20": 0.75})
    figures = {"ndcg_at_20": 0.1 + 0.2, "champion_ndcg_at_20": 0.125}
    registry.record(version, "refused", figures)
    entry = registry.list()[0]
    assert (entry.verdict, entry.figures) == ("refused", figures)


# The champion


def test_a_promotion_is_seen_by_everyone_who_shares_the_registry(
    registry: Registry, tmp_path: Path
) -> None:
    """The latest promotion counts, and going back by hand is a promotion too."""
    first, second = train(registry), train(registry)
    other = Registry(tmp_path / "models")
    for version in (first, second, first):
        registry.promote(version)
        assert other.champion == version
        assert [e.version for e in other.list() if e.is_champion] == [version]


def test_an_unknown_version_is_not_promoted(registry: Registry) -> None:
    """The message lists what there is, and the champion stays."""
    with pytest.raises(RegistryError, match="no model v0001; there are none"):
        registry.promote("v0001")
    version = train(registry)
    registry.promote(version)
    for unknown in ("v0002", "v0009", "best", "../v0001"):
        with pytest.raises(RegistryError, match=f"no model {unknown}; there are {version}"):
            registry.promote(unknown)
    assert registry.champion == version


def test_a_version_whose_folder_is_gone_does_not_serve(registry: Registry) -> None:
    """It is shown as gone and refused; the champion stays."""
    first, second = train(registry), train(registry)
    registry.promote(first)
    shutil.rmtree(registry.folder_of(second))
    assert [(e.version, e.state) for e in registry.list()] == [
        (first, "complete"),
        (second, "gone"),
    ]
    assert registry.versions() == [first]
    with pytest.raises(RegistryError, match=f"folder of {second} is gone"):
        registry.promote(second)
    assert registry.champion == first


def test_the_champion_is_not_discarded(registry: Registry) -> None:
    """Discarding it would leave nobody to serve."""
    version = train(registry)
    registry.promote(version)
    with pytest.raises(RegistryError, match="is the champion"):
        registry.discard(version)
    assert registry.versions() == [version]


# Back


def test_rollbacks_go_further_and_further_back(registry: Registry, tmp_path: Path) -> None:
    """Each rollback takes one promotion away, after a restart too; at the first there is an end."""
    first, second, third = train(registry), train(registry), train(registry)
    for version in (first, second, third):
        registry.promote(version, reason=f"{version} won")
    assert registry.rollback() == second
    again = Registry(tmp_path / "models")
    assert again.rollback() == first
    assert registry.champion == first
    with pytest.raises(RegistryError, match=f"no champion before {first}.*: {second}, {third}"):
        registry.rollback()
    assert registry.champion == first
    assert [(p.version, p.is_rollback) for p in registry.history()] == [
        (first, False),
        (second, False),
        (third, False),
        (second, True),
        (first, True),
    ]
    assert registry.list()[2].last_promotion == registry.history()[2]
    assert registry.history()[2].reason == f"{third} won"


def test_what_was_rolled_back_is_not_come_back_to(registry: Registry) -> None:
    """After 1, 2, back to 1 and 3, going back from 3 is going to 1."""
    first, second, third = train(registry), train(registry), train(registry)
    registry.promote(first)
    registry.promote(second)
    registry.rollback()
    registry.promote(third)
    assert registry.rollback() == first


def test_a_rollback_passes_over_what_cannot_serve(registry: Registry) -> None:
    """A former champion whose folder is gone is skipped."""
    first, second, third = train(registry), train(registry), train(registry)
    for version in (first, second, third):
        registry.promote(version)
    shutil.rmtree(registry.folder_of(second))
    assert registry.rollback() == first


def test_there_is_nothing_before_the_first(registry: Registry) -> None:
    """Without any promotion, or with one, there is no way back, and the message says so."""
    with pytest.raises(RegistryError, match="no champion before None"):
        registry.rollback()
    registry.promote(train(registry))
    with pytest.raises(RegistryError, match="promoted: none"):
        registry.rollback()


def test_a_promotion_in_mlflow_itself_counts(registry: Registry, tmp_path: Path) -> None:
    """The alias alone says who serves; a rollback from there goes to the champion before."""
    from mlflow import MlflowClient

    first, second = train(registry), train(registry)
    registry.promote(first)
    uri = sqlite_uri(tmp_path / "models")
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.set_registered_model_alias("reaseq-ranker", "champion", str(int(second[1:])))
    assert registry.champion == second
    assert registry.rollback() == first


def test_no_promotion_is_forgotten(registry: Registry) -> None:
    """However many there are and however long their reasons, in the order in which they came."""
    version = train(registry)
    for count in range(4):
        registry.promote(version, reason=f"{count}" * 10_000)
    assert [promotion.reason[0] for promotion in registry.history()] == ["0", "1", "2", "3"]
    assert [promotion.previous for promotion in registry.history()] == [None, *[version] * 3]


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
    assert champions_in_turn(history) == stack


# Who else is there

TRAINER = """
import sys
from pathlib import Path
from ray_apps.registry.registry import Registry

registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    with registry.begin({}) as run:
        run.folder.mkdir()
        run.complete({})
    registry.promote(run.version)
    print(run.version, flush=True)
"""


def test_two_processes_begin_at_once(tmp_path: Path) -> None:
    """Both make the registry, train and promote: no name is given twice, no promotion lost."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", "-c", TRAINER, str(tmp_path / "models")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in outputs] == ["", ""], "MLflow is quiet"
    names = sorted(name for output, _ in outputs for name in output.split())
    assert names == [f"v{number:04d}" for number in range(1, 5)]
    registry = Registry(tmp_path / "models")
    assert registry.versions() == names
    assert sorted(promotion.version for promotion in registry.history()) == names
    assert registry.champion == registry.history()[-1].version


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """The error comes at once, says which setting to look at, and shows no password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        registry = Registry(tmp_path, f"http://me:hush@127.0.0.1:{port}")
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(RegistryUnavailableError, match=r"registry\.uri") as error:
                _ = registry.champion
            assert "hush" not in str(error.value)
        assert time.monotonic() - started < 2


def test_a_registry_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A file that is no registry is told as the setting, too."""
    (tmp_path / "registry.db").write_text("no database at all, but long enough to be one" * 100)
    with pytest.raises(RegistryUnavailableError, match=r"registry\.uri"):
        _ = Registry(tmp_path).champion
