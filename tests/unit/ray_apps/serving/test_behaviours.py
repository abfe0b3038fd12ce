"""`ray_apps.serving.behaviours`: who is generated for, and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps.serving.behaviours import BehaviourRefresher
from ray_apps.serving.generating import GeneratorAnswer
from reaseq.feature_views import GENERATED, SEQUENCES
from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower, resume
from tests.unit.ray_apps.serving.fakes import (
    EVENT_CODEC,
    EVENTS,
    BreakableFeatures,
    FakeClock,
    ToyGenerator,
    bought,
    memory_log,
    send_events,
    sequence_of,
)

P0 = Partition(EVENTS, 0)


class Refreshing:
    """A refresher on fakes; the generator can be slow, away or not there yet."""

    def __init__(self, folder: Path, min_new_events: int = 2) -> None:
        self.log = memory_log()
        self.features = BreakableFeatures()
        self.checkpoints = Checkpoints(folder)
        self.clock = FakeClock()
        self.generator: ToyGenerator | None = ToyGenerator("g1")
        self.error: Exception | None = None
        self.delay_s = 0.0
        self.refresher = BehaviourRefresher(
            self.features,
            self.follower(),
            self._ask,
            min_new_events=min_new_events,
            timeout_s=0.2,
            max_poll_records=100,
            save_interval_s=2.0,
            clock=self.clock,
            now_ms=lambda: 777,
        )

    def follower(self) -> Follower:
        partitions = self.log.partitions(EVENTS)
        reader = self.log.reader("behaviours")
        return Follower(reader, EVENT_CODEC, partitions, resume(self.checkpoints), self.checkpoints)

    async def _ask(self, sequences: pa.Table) -> GeneratorAnswer | None:
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        if self.generator is None:
            return None
        at_ms = sequences["newest_event_time_ms"].to_numpy()
        return GeneratorAnswer(self.generator.generate(sequences, at_ms), self.generator.version)

    def happened(self, user_id: str, *times_ms: int, shown: bool = True) -> None:
        """The user buys tea at these times, and the features show it."""
        send_events(self.log, *(bought(user_id, "tea", time_ms) for time_ms in times_ms))
        if shown:
            self.show(user_id, *times_ms)

    def show(self, user_id: str, *times_ms: int) -> None:
        self.features.write(SEQUENCES, sequence_of(user_id, *(("tea", t) for t in times_ms)))

    def step(self) -> None:
        asyncio.run(self.refresher.step())

    def generated(self, *user_ids: str) -> list[dict[str, object]]:
        return self.features.read(GENERATED, user_ids).to_pylist()

    def saved(self) -> int | None:
        progress = self.checkpoints.progress(P0)
        return progress.next_offset if progress else None


@pytest.fixture
def refreshing(tmp_path: Path) -> Refreshing:
    return Refreshing(tmp_path)


def test_only_who_is_due_is_generated_for(refreshing: Refreshing) -> None:
    """With enough new events; the row says its provenance."""
    refreshing.happened("few", 1)
    refreshing.happened("many", 1, 2)
    refreshing.step()
    (row,) = refreshing.generated("few", "many")
    assert row["user_id"] == "many"
    assert row["item_ids"] == ["g1:many"]
    assert (row["model_version"], row["generated_at_ms"]) == ("g1", 777)
    assert (row["newest_event_time_ms"], row["partition"], row["next_offset"]) == (2, 0, 3)
    assert (refreshing.refresher.num_generated, refreshing.refresher.num_waiting) == (1, 0)


def test_a_user_waits_until_the_features_show_the_event(refreshing: Refreshing) -> None:
    """Nobody is generated for from an older sequence."""
    refreshing.happened("u", 1, 2, shown=False)
    refreshing.step()
    assert refreshing.refresher.num_waiting == 1
    assert refreshing.generated("u") == []
    refreshing.show("u", 1, 2)
    refreshing.step()
    assert len(refreshing.generated("u")) == 1


def test_what_is_generated_is_not_generated_again(refreshing: Refreshing) -> None:
    """One more event is not enough; the second one is."""
    refreshing.happened("u", 1, 2)
    refreshing.step()
    refreshing.happened("u", 3, shown=False)
    refreshing.show("u", 1, 2, 3)
    refreshing.step()
    assert refreshing.refresher.num_generated == 1
    refreshing.happened("u", 4, shown=False)
    refreshing.show("u", 1, 2, 3, 4)
    refreshing.step()
    assert refreshing.generated("u")[0]["newest_event_time_ms"] == 4


@pytest.mark.parametrize("how", ["away", "slow"])
def test_when_the_generator_fails_the_users_wait_again(refreshing: Refreshing, how: str) -> None:
    """The step says so, and the next one that works generates for them."""
    refreshing.error = RuntimeError("away") if how == "away" else None
    refreshing.delay_s = 5.0 if how == "slow" else 0.0
    refreshing.happened("u", 1, 2)
    with pytest.raises((RuntimeError, TimeoutError)):
        refreshing.step()
    assert refreshing.refresher.num_waiting == 1
    refreshing.error, refreshing.delay_s = None, 0.0
    refreshing.step()
    assert len(refreshing.generated("u")) == 1


def test_a_refresh_that_is_cancelled_loses_nobody(refreshing: Refreshing) -> None:
    """The replica goes in the middle of an answer; the position must not pass the user."""
    refreshing.delay_s = 0.15
    refreshing.happened("u", 1, 2)

    async def story() -> None:
        task = asyncio.create_task(refreshing.refresher.step())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await refreshing.refresher.close()

    asyncio.run(story())
    assert refreshing.refresher.num_waiting == 1
    assert refreshing.saved() is None


def test_without_a_generator_nobody_waits(refreshing: Refreshing) -> None:
    """There is nothing to refresh before the first one is trained."""
    refreshing.generator = None
    refreshing.happened("u", 1, 2)
    refreshing.step()
    assert (refreshing.refresher.num_generated, refreshing.refresher.num_waiting) == (0, 0)


def test_it_saves_now_and_then_offline_first(refreshing: Refreshing) -> None:
    """Rows offline, then the position, from which a successor goes on."""
    refreshing.happened("u", 1, 2)
    refreshing.step()
    assert refreshing.features.keys(GENERATED) == []
    assert refreshing.saved() is None
    refreshing.clock.now += 3
    refreshing.step()
    assert refreshing.features.keys(GENERATED) == ["u"]
    assert refreshing.saved() == 2
    assert refreshing.follower().poll(0.0, 10) == []
    refreshing.clock.now += 3
    refreshing.step()
    assert len(refreshing.features.offline[GENERATED.name]) == 1


def test_the_position_never_passes_who_waits(refreshing: Refreshing) -> None:
    """After a crash their events come again."""
    refreshing.happened("hidden", 1, 2, shown=False)
    refreshing.clock.now += 3
    refreshing.step()
    assert refreshing.saved() is None


def test_closing_saves_what_is_done(refreshing: Refreshing) -> None:
    """And lets the connection go, even where nothing can be saved."""
    refreshing.happened("u", 1, 2)
    refreshing.step()
    asyncio.run(refreshing.refresher.close())
    assert refreshing.features.keys(GENERATED) == ["u"]
    assert refreshing.saved() == 2
    refreshing.happened("u", 3, 4)
    refreshing.step()
    assert refreshing.refresher.num_waiting == 0
    assert refreshing.refresher.num_generated == 1
