"""`streams.shards.changed_users`."""

from __future__ import annotations

import pyarrow as pa

from reaseq.feature_views import SEQUENCES, ViewSpec
from reaseq.schemas import EVENT_SCHEMA, GENERATED_SCHEMA, SEQUENCE_SCHEMA
from streams.feature_store.memory import MemoryFeatures
from streams.log.ports import Partition
from streams.shards.changed_users import ChangedUsers
from streams.shards.follower import Followed
from streams.shards.positions import Position

P1 = Partition("events", 1)


class FakeFeatures(MemoryFeatures):
    """Sequences by user as event times, generated rows by user as what they rest on."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, list[int]] = {}
        self.generated: dict[str, int] = {}

    def read(self, view: ViewSpec, ids: list[str]) -> pa.Table:
        return self._sequences(ids) if view is SEQUENCES else self._generated(ids)

    def _sequences(self, user_ids: list[str]) -> pa.Table:
        rows = [
            {
                "user_id": user,
                "item_ids": ["i"] * len(self.times[user]),
                "event_types": ["view"] * len(self.times[user]),
                "event_times_ms": self.times[user],
                "event_values": [None] * len(self.times[user]),
                "event_keys": self.times[user],
                "newest_event_time_ms": max(self.times[user]),
                "revision": 1,
            }
            for user in user_ids
            if user in self.times
        ]
        return pa.Table.from_pylist(rows, schema=SEQUENCE_SCHEMA)

    def _generated(self, user_ids: list[str]) -> pa.Table:
        rows = [
            {
                "user_id": user,
                "item_ids": [],
                "probabilities": [],
                "model_version": "g",
                "newest_event_time_ms": self.generated[user],
                **dict.fromkeys(("generated_at_ms", "partition", "next_offset", "revision"), 0),
            }
            for user in user_ids
            if user in self.generated
        ]
        return pa.Table.from_pylist(rows, schema=GENERATED_SCHEMA)


def events(next_offset: int, *seen: tuple[str, int]) -> Followed:
    """Views of users at times."""
    rows = [
        dict(zip(EVENT_SCHEMA.names, [f"{u}{t}", u, "i", "view", t, None], strict=True))
        for u, t in seen
    ]
    return Followed(P1, pa.Table.from_pylist(rows, schema=EVENT_SCHEMA), next_offset)


def test_a_user_is_due_after_enough_new_events() -> None:
    """Newer than what the generated behaviours rest on; everything, when there are none."""
    features = FakeFeatures()
    features.times = {"few": [1, 2, 3, 9], "many": [1, 7, 8], "fresh": [5, 6], "one": [4]}
    features.generated = {"few": 3, "many": 1}
    changed = ChangedUsers(features, min_new_events=2)
    changed.note([events(40, ("few", 9), ("many", 8), ("fresh", 6), ("one", 4))])
    due = changed.due(10)
    assert due.sequences["user_id"].to_pylist() == ["many", "fresh"]
    assert due.positions == [Position(1, 40)] * 2
    assert len(changed) == 0


def test_a_user_waits_until_the_features_show_the_event() -> None:
    """The shard may be behind the log; nobody is generated for from an older sequence."""
    features = FakeFeatures()
    features.times = {"u": [1, 2]}
    changed = ChangedUsers(features, min_new_events=1)
    changed.note([events(5, ("u", 3)), events(6, ("stranger", 3))])
    assert changed.due(10).sequences.num_rows == 0
    assert len(changed) == 2
    features.times["u"].append(3)
    assert changed.due(10).sequences["user_id"].to_pylist() == ["u"]


def test_who_could_not_be_generated_for_waits_again() -> None:
    """A generator that is down loses nobody."""
    features = FakeFeatures()
    features.times = {"u": [1]}
    changed = ChangedUsers(features, min_new_events=1)
    changed.note([events(5, ("u", 1))])
    due = changed.due(10)
    changed.again(due)
    assert changed.due(10) == due


def test_the_ones_not_shown_do_not_block_the_others() -> None:
    """With one place a turn, everybody comes up in the end."""
    features = FakeFeatures()
    features.times = {"here": [1]}
    changed = ChangedUsers(features, min_new_events=1)
    changed.note([events(5, ("behind", 9), ("here", 1))])
    found = [changed.due(1).sequences["user_id"].to_pylist() for _ in range(2)]
    assert found == [[], ["here"]]
