"""Score, then send, then wait until it is readable: on a shard and features in memory."""

from __future__ import annotations

import httpx
import numpy as np
import pyarrow as pa
import pytest

from ray_apps.demo import prequential_stream
from ray_apps.demo.prequential_stream import PrequentialStream
from ray_apps.settings import Settings
from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.schemas import EVENT_SCHEMA, GENERATED_SCHEMA
from reaseq.sequences.state import SequenceState
from reaseq.types import DAY_MS, Float32s, Int64s
from streams.feature_store.memory import MemoryFeatures
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec
from streams.log.ports import Headers
from tests.unit.ray_apps.serving.fakes import generated_row

ITEMS = [f"item-{n}" for n in range(6)]


def orders(*made: tuple[str, int, list[str]]) -> pa.Table:
    """Purchases of (user, day, items), by time."""
    rows = [
        {
            "event_id": f"{user}-{day}-{item}",
            "user_id": user,
            "item_id": item,
            "event_type": "purchase",
            "event_time_ms": day * DAY_MS,
            "value": 1.0,
        }
        for user, day, items in made
        for item in items
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA).sort_by("event_time_ms")


class Shop:
    """A log whose records reach the features when they are flushed, as a shard would do it."""

    def __init__(self) -> None:
        self.features = MemoryFeatures()
        self.state = SequenceState(100)
        self.values: list[bytes] = []
        self.keys: list[bytes] = []
        self.num_flushed = 0
        self.is_behind = False

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        assert value is not None
        assert key is not None
        self.values.append(value)
        self.keys.append(key)

    def flush(self) -> None:
        new = ByteSlices.of(self.values[self.num_flushed :])
        self.num_flushed = len(self.values)
        if not self.is_behind:
            events = event_codec(100_000).decode(new).table
            self.features.write(SEQUENCES, self.state.rows(self.state.merge(events).slots))

    def close(self) -> None:
        """Nothing is held."""


class SeesOnly:
    """A scorer that notes how many events each ranked sequence holds, and likes the first item."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        self.lengths += [len(items) for items in sequences["item_ids"].to_pylist()]
        scores = np.zeros((sequences.num_rows, len(ITEMS)), np.float32)
        scores[:, 0] = 1
        return scores


class World:
    """A shop with a stream round it, and the requests that were made."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.scorer = SeesOnly()
        self.asked: list[str] = []
        self.evaluation = PrequentialEvaluation(ITEMS, {"ranker": self.scorer}, k=1)
        client = httpx.Client(base_url="http://shop", transport=httpx.MockTransport(self._answer))
        self.client = client
        self.stream = PrequentialStream(
            Settings(), self.shop.features, self.shop, self.evaluation, client
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return httpx.Response(200, json={"items": []})


@pytest.fixture
def world() -> World:
    return World()


def test_an_order_is_ranked_before_anything_of_it_is_sent(world: World) -> None:
    """The second order of a user sees the first one, and nothing of itself."""
    events = orders(("ann", 1, ITEMS[:2]), ("ann", 2, ITEMS[2:3]), ("ann", 3, ITEMS[:1]))
    world.stream.run(events, lambda num: None)
    assert world.scorer.lengths == [2, 3]
    assert world.evaluation.num_skipped == 1
    quality = world.evaluation.report()["ranker"]
    assert (quality.num_orders, quality.num_targets, quality.hit_rate) == (2, 2, 0.5)


def test_what_was_sent_is_readable_and_equals_one_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffled and half of it sent twice, the features hold each event once."""
    monkeypatch.setattr(prequential_stream, "DUPLICATE_SHARE", 0.5)
    made = [(f"user-{n % 7}", 1 + n, [ITEMS[n % 6], ITEMS[(n + 1) % 6]]) for n in range(120)]
    events = orders(*made)
    sent: list[int] = []
    world.stream.run(events, sent.append)
    batch = SequenceState(100)
    batch.merge(events)
    users = [f"user-{n}" for n in range(7)]
    found = world.shop.features.read(SEQUENCES, users)
    expected = batch.rows_of(users)
    for column in ("item_ids", "event_keys", "newest_event_time_ms"):
        assert found[column].to_pylist() == expected[column].to_pylist()
    assert sum(sent) == events.num_rows
    assert len(world.shop.values) == world.stream.num_sent
    assert world.stream.num_sent - world.stream.num_duplicates == events.num_rows
    assert world.stream.num_duplicates >= 0.4 * events.num_rows
    assert len(set(world.shop.values)) == events.num_rows


def test_freshness_is_of_every_user_of_every_block(world: World) -> None:
    """And a few of them ask for a recommendation meanwhile."""
    world.stream.run(orders(("ann", 1, ITEMS[:1]), ("bob", 2, ITEMS[:1])), lambda num: None)
    assert len(world.stream.freshness_ms) == 2
    assert all(ms >= 0 for ms in world.stream.freshness_ms)
    assert len(world.stream.recommend_ms) == len(world.asked) == 1
    assert world.asked[0] in ("/v1/users/ann/recommendations", "/v1/users/bob/recommendations")


def test_features_that_fall_behind_stop_the_demo(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says for how many users, rather than waiting for ever."""
    monkeypatch.setattr(prequential_stream, "VISIBLE_TIMEOUT_S", 0.01)
    world.shop.is_behind = True
    with pytest.raises(RuntimeError, match="2 users' events are not readable"):
        world.stream.run(orders(("ann", 1, ITEMS[:1]), ("bob", 2, ITEMS[:1])), lambda num: None)


def test_generated_behaviours_count_where_the_log_held_nothing(world: World) -> None:
    """Of two items beyond the log one was generated; the one that was logged counts for nothing."""
    generated = pa.Table.from_pylist([generated_row("ann", ITEMS[3])], schema=GENERATED_SCHEMA)
    world.shop.features.write(GENERATED, generated)
    assert world.stream.beyond_log_hit_rate is None
    world.stream.run(
        orders(("ann", 1, ITEMS[:1]), ("ann", 2, [ITEMS[0], ITEMS[3], ITEMS[4]])), lambda num: None
    )
    assert world.stream.beyond_log_hit_rate == 0.5


def test_what_is_not_an_event_is_sent_as_it_is(world: World) -> None:
    """To see the stream set it aside and go on."""
    world.shop.is_behind = True
    world.stream.send_raw(b"\x00 not JSON")
    assert world.shop.values == [b"\x00 not JSON"]
    assert world.shop.num_flushed == 1
