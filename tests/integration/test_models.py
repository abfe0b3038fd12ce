"""Champions change while requests run: promotion, refusal, rollback."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from ray_apps.registry.kinds import registry_of
from ray_apps.training.retrain import retrain
from reaseq.types import DAY_MS
from tests.integration.shop import FIRST_TRAINED_UP_TO_MS, Shop
from tests.waiting import PATIENCE_S, wait_until

END_OF_HISTORY_MS = 1_323_475_200_000
"""2011-12-10, after the last event of the data; the tests' own purchases are of today."""


class Load:
    """Requests one after the other in some threads, with what went wrong."""

    def __init__(self, shop: Shop) -> None:
        self.num_answered = 0
        self.versions: set[str | None] = set()
        self.failures: list[str] = []
        self._shop = shop
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._shop.url, timeout=PATIENCE_S) as client:
            while not self._stop.is_set():
                try:
                    answer = client.get(f"/v1/users/{self._shop.user_id}/recommendations")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code != 200 or not answer.json()["items"]:
                    self.failures.append(answer.text)
                    continue
                self.num_answered += 1
                self.versions.add(answer.json()["model_version"])


@contextmanager
def load_on(shop: Shop) -> Iterator[Load]:
    load = Load(shop)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def a_copy(shop: Shop) -> str:
    """Another version with the same weights, complete in the registry."""
    registry = registry_of(shop.settings, "ranker")
    with registry.begin({}) as run:
        shutil.copytree(registry.folder_of("v0001"), run.folder)
        manifest = run.folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"v0001"', f'"{run.version}"'))
        run.complete({"trained_up_to_ms": "1"})
    return run.version


def serving(shop: Shop) -> str | None:
    version: str | None = shop.recommend(shop.user_id, k=1)["model_version"]
    return version


def test_a_swap_and_a_rollback_under_load_fail_no_request(shop: Shop) -> None:
    """The replica loads the new champion beside the old one; every request gets a slate."""
    version = a_copy(shop)
    with load_on(shop) as load:
        wait_until(lambda: load.num_answered > 10)
        registry_of(shop.settings, "ranker").promote(version, "a test")
        wait_until(lambda: serving(shop) == version)
        assert registry_of(shop.settings, "ranker").rollback() == "v0001"
        wait_until(lambda: serving(shop) == "v0001")
    assert load.failures == []
    assert load.versions == {"v0001", version}


def test_a_challenger_that_loses_is_refused_and_recorded(shop: Shop) -> None:
    """It was hardly trained: the champion stays, and the registry says by how much it won."""
    lazy = shop.settings.ranker.model_copy(update={"learning_rate": 1e-9, "num_epochs": 1})
    settings = shop.settings.model_copy(update={"ranker": lazy})
    outcome = retrain(settings, "ranker", end_ms=END_OF_HISTORY_MS)
    assert not outcome.promoted
    models = registry_of(shop.settings, "ranker")
    assert models.champion == "v0001"
    entry = next(e for e in models.list() if e.version == outcome.challenger.version)
    assert entry.verdict == "refused"
    assert entry.figures["ndcg"] < entry.figures["champion_ndcg"]
    assert serving(shop) == "v0001"


def test_time_that_the_champion_has_learnt_from_decides_nothing(shop: Shop) -> None:
    """With nothing newer than the champion's own history there is nothing to compare on."""
    before = [entry.version for entry in registry_of(shop.settings, "ranker").list()]
    with pytest.raises(ValueError, match="nothing has arrived since v0001 was trained"):
        retrain(shop.settings, "ranker", end_ms=FIRST_TRAINED_UP_TO_MS - DAY_MS)
    assert [entry.version for entry in registry_of(shop.settings, "ranker").list()] == before
