"""`ray_apps.serving.champion`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.serving.champion import FIRST_RETRY_S, MAX_RETRY_S, ChampionWatcher
from tests.unit.ray_apps.serving.fakes import FakeClock, FakeRegistry


class Loader:
    """Loads the name of a folder, unless that is broken."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, folder: Path) -> str:
        self.loaded.append(folder.name)
        if folder.name in self.broken:
            raise ValueError(f"{folder} is torn")
        return f"model {folder.name}"


class Watched:
    """A watcher on fakes."""

    def __init__(self, champion: str | None = None) -> None:
        self.registry = FakeRegistry(champion)
        self.load = Loader()
        self.clock = FakeClock()
        self.watcher = ChampionWatcher(self.registry, self.load, clock=self.clock)

    def look_after(self, seconds: float) -> bool:
        self.clock.now += seconds
        return self.watcher.look()


def test_without_a_champion_there_is_no_model() -> None:
    """Nothing is loaded before the first promotion."""
    watched = Watched()
    assert not watched.watcher.look()
    assert (watched.watcher.version, watched.watcher.model) == (None, None)


def test_a_promotion_takes_over_once() -> None:
    """The new model is handed over with its version, and not loaded again."""
    watched = Watched("v1")
    assert watched.watcher.look()
    assert not watched.watcher.look()
    watched.registry.promote("v2")
    assert watched.watcher.look()
    assert (watched.watcher.version, watched.watcher.model) == ("v2", "model v2")
    assert watched.load.loaded == ["v1", "v2"]


def test_the_held_model_serves_while_another_loads() -> None:
    """Version and model change together, after loading."""
    watched = Watched("v1")
    watched.watcher.look()
    seen: list[tuple[str | None, object]] = []

    def load(folder: Path) -> str:
        seen.append((watcher.version, watcher.model))
        return "new" if seen[1:] else "old"

    watcher = ChampionWatcher(watched.registry, load, clock=watched.clock)
    watcher.look()
    watched.registry.promote("v2")
    watcher.look()
    assert seen == [(None, None), ("v1", "old")]


def test_a_version_that_does_not_load_leaves_the_old_one(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported with its reason, and tried again only after a while."""
    watched = Watched("v1")
    watched.watcher.look()
    watched.load.broken.add("v2")
    watched.registry.promote("v2")
    for _ in range(5):
        assert not watched.watcher.look()
    assert (watched.watcher.version, watched.watcher.model) == ("v1", "model v1")
    assert watched.load.loaded == ["v1", "v2"]
    assert "champion v2 does not load: going on with v1" in caplog.text
    assert "v2 is torn" in caplog.text
    watched.load.broken.clear()
    assert watched.look_after(FIRST_RETRY_S)
    assert watched.watcher.version == "v2"


def test_a_version_that_never_loads_is_tried_ever_more_seldom() -> None:
    """In an hour of looking twice a second: some doublings, then once in 30 to 60 s."""
    watched = Watched("v1")
    watched.load.broken.add("v1")
    for _ in range(7200):
        watched.look_after(0.5)
    assert 3600 / MAX_RETRY_S <= len(watched.load.loaded) <= 3600 / (MAX_RETRY_S / 2) + 8


def test_another_version_is_tried_at_once() -> None:
    """A rollback does not wait for the broken one's turn."""
    watched = Watched("v2")
    watched.load.broken.add("v2")
    watched.watcher.look()
    watched.registry.promote("v1")
    assert watched.watcher.look()
    assert watched.watcher.version == "v1"


def test_a_registry_that_is_away_changes_nothing_and_is_not_asked_all_the_time() -> None:
    """When it answers again its champion takes over."""
    watched = Watched("v1")
    watched.watcher.look()
    watched.registry.is_away = True
    before = watched.registry.num_asked
    for _ in range(5):
        assert not watched.watcher.look()
    assert watched.registry.num_asked == before + 1
    assert watched.watcher.model == "model v1"
    watched.registry.is_away = False
    watched.registry.promote("v2")
    assert watched.look_after(FIRST_RETRY_S)


def test_an_answer_of_the_registry_ends_its_backing_off() -> None:
    """The next time it is away it is asked again after the first wait."""
    watched = Watched("v1")
    watched.watcher.look()
    watched.registry.is_away = True
    for _ in range(10):
        watched.look_after(MAX_RETRY_S)
    watched.registry.is_away = False
    watched.look_after(MAX_RETRY_S)
    watched.registry.is_away = True
    watched.watcher.look()
    watched.registry.is_away = False
    watched.registry.promote("v2")
    assert watched.look_after(FIRST_RETRY_S)
