"""What the services of the application are tested on: no Ray, no broker, no Feast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.popularity import Popularity
from reaseq.events import Event, EventType, Item
from reaseq.feature_views import ViewSpec
from reaseq.generator.generator import ANSWER_SCHEMA
from reaseq.ranker.fit import text_by_code
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker
from reaseq.ranker.settings import RankerSettings
from reaseq.recommendation.recommender import Recommender
from reaseq.schemas import EVENT_SCHEMA, SEQUENCE_SCHEMA
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary
from streams.feature_store.guard import OnlineStoreError
from streams.feature_store.memory import MemoryFeatures
from streams.log.codec import event_codec, item_codec
from streams.log.memory import MemoryLog
from streams.log.ports import Headers, LogError, Topic

EVENTS, ITEMS_TOPIC, IMPRESSIONS = "events", "items", "impressions"
EVENT_CODEC, ITEM_CODEC = event_codec(10_000), item_codec(10_000)
VOCABULARY = ItemVocabulary(["tea", "cup", "pot"])


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeRegistry:
    """A registry whose champion is set by hand; it can be away."""

    def __init__(self, champion: str | None = None) -> None:
        self._champion = champion
        self.is_away = False
        self.num_asked = 0

    @property
    def champion(self) -> str | None:
        self.num_asked += 1
        if self.is_away:
            raise ValueError("no answer")
        return self._champion

    def promote(self, version: str) -> None:
        self._champion = version

    def folder_of(self, version: str) -> Path:
        return Path(version)


class BreakableFeatures(MemoryFeatures):
    """Features of which some views can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away: set[str] = set()

    def read(self, view: ViewSpec, ids: Sequence[str]) -> pa.Table:
        if view.name in self.away:
            raise OnlineStoreError(f"{view.name} at 10.0.0.7 is away")
        return super().read(view, ids)


class FakeHistory:
    """Events that the shards have taken in."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.num_read = 0

    def read(self) -> pa.Table:
        self.num_read += 1
        return event_table(self.events)


class FakeEncoder:
    """A text's vector points up when it speaks of tea, right when not."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> Float32s:
        self.texts += texts
        return np.array([[0, 1] if "tea" in text.lower() else [1, 0] for text in texts], np.float32)


class ToyGenerator:
    """Generates one behaviour per user: its own version."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.trained_up_to_ms = 0
        self.num_rows: list[int] = []

    def generate(self, sequences: pa.Table, at_ms: Int64s) -> pa.Table:
        assert len(at_ms) == sequences.num_rows
        self.num_rows.append(sequences.num_rows)
        rows = [
            {"user_id": user, "item_ids": [f"{self.version}:{user}"], "probabilities": [0.5]}
            for user in sequences["user_id"].to_pylist()
        ]
        return pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA)


class FakeWriter:
    """A log writer that keeps what it was given, and can refuse."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.num_flushed = 0
        self.is_closed = False
        self.is_away = False
        self.max_bytes = 10_000

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        if len(value or b"") > self.max_bytes:
            raise ValueError(f"{len(value or b'')} bytes are too many")
        self.sent.append((topic, value or b"", key or b""))

    def flush(self) -> None:
        if self.is_away:
            raise LogError("the broker at 10.0.0.7 did not confirm")
        self.num_flushed = len(self.sent)

    def close(self) -> None:
        self.flush()
        self.is_closed = True


def toy_recommender(version: str, trained_up_to_ms: int = 0) -> Recommender:
    """A whole recommender of three items; its ranker has learnt nothing but knows its name."""
    vectors = np.array([[0, 1], [1, 0], [1, 0.1]], np.float32)
    model = RankerModel(text_by_code(vectors), RankerSettings(hidden_size=8, head_size=4))
    ranker = Ranker.of(model, VOCABULARY, version=version, trained_up_to_ms=trained_up_to_ms)
    nearest = NearestItems(VOCABULARY, vectors)
    return Recommender(VOCABULARY, [nearest, Popularity(VOCABULARY)], ranker)


def memory_log(num_partitions: int = 1) -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic(name, num_partitions) for name in (EVENTS, ITEMS_TOPIC, IMPRESSIONS)])
    return log


def send_events(log: MemoryLog, *events: Event) -> None:
    for event in events:
        log.writer().send(EVENTS, EVENT_CODEC.encode(event), event.user_id.encode())


def send_items(log: MemoryLog, *items: Item) -> None:
    for item in items:
        log.writer().send(ITEMS_TOPIC, ITEM_CODEC.encode(item), item.item_id.encode())


def bought(user_id: str, item_id: str, time_ms: int) -> Event:
    return Event(
        event_id=f"{user_id}-{item_id}-{time_ms}",
        user_id=user_id,
        item_id=item_id,
        event_type=EventType.PURCHASE,
        event_time_ms=time_ms,
    )


def event_table(events: Sequence[Event]) -> pa.Table:
    rows = [{name: getattr(event, name) for name in EVENT_SCHEMA.names} for event in events]
    for row in rows:
        row["event_type"] = str(row["event_type"])
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def sequence_of(user_id: str, *seen: tuple[str, int]) -> pa.Table:
    """A user's row from (item, time), all purchases."""
    row = {
        "user_id": user_id,
        "item_ids": [item_id for item_id, _ in seen],
        "event_types": ["purchase"] * len(seen),
        "event_times_ms": [time_ms for _, time_ms in seen],
        "event_values": [None] * len(seen),
        "event_keys": list(range(len(seen))),
        "newest_event_time_ms": max(time_ms for _, time_ms in seen),
        "revision": len(seen),
    }
    return pa.Table.from_pylist([row], schema=SEQUENCE_SCHEMA)


def generated_row(user_id: str, *item_ids: str, newest_ms: int = 1) -> dict[str, object]:
    """A row of GENERATED_SCHEMA."""
    return {
        "user_id": user_id,
        "item_ids": list(item_ids),
        "probabilities": [0.5] * len(item_ids),
        "model_version": "g1",
        "generated_at_ms": 9,
        "partition": 0,
        "next_offset": 3,
        "newest_event_time_ms": newest_ms,
        "revision": 1,
    }
