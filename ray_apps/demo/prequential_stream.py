"""Score, then send, then wait until it is readable: the stream as its own examination.

Block by block (`reaseq.evaluation.blocks`): read the online sequences of everybody who is about to
order, rank the whole catalogue for them, send the block through Kafka and wait until the online
features show it. The features that are scored are the ones a request would get.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import httpx
import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.settings import Settings
from reaseq.evaluation.blocks import blocks_of, score_block
from reaseq.evaluation.hit_rate import beyond_log_hit_rate
from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.schemas import GENERATED_ITEM_IDS
from reaseq.sequences.orders import orders_of
from reaseq.sequences.rows import aligned, with_generated
from reaseq.sequences.state import SequenceState
from streams.feature_store.ports import FeatureTables
from streams.log.codec import event_codec
from streams.log.ports import LogWriter

ORDERS_PER_BLOCK = 64
DUPLICATE_SHARE = 0.01
REQUESTS_PER_BLOCK = 1
VISIBLE_TIMEOUT_S = 60.0
_POLL_S = 0.002


class PrequentialStream:
    """Streams events and keeps what was measured on the way. Writer and client are the caller's."""

    def __init__(
        self,
        settings: Settings,
        features: FeatureTables,
        writer: LogWriter,
        evaluation: PrequentialEvaluation,
        client: httpx.Client,
        seed: int = 0,
    ) -> None:
        self._topic = settings.topics.events
        self._codec = event_codec(settings.kafka.max_event_bytes)
        self._max_events = settings.stream.max_sequence_events
        self._features = features
        self._writer = writer
        self._evaluation = evaluation
        self._http = client
        self._random = random.Random(seed)
        self._expected = SequenceState(self._max_events)
        self.num_sent = 0
        self.num_duplicates = 0
        self.streaming_s = 0.0
        self.freshness_ms: list[float] = []
        self.recommend_ms: list[float] = []
        self._beyond_log_hits = 0
        self._beyond_log_targets = 0

    def run(self, events: pa.Table, on_sent: Callable[[int], None]) -> None:
        """Stream `events` (EVENT_SCHEMA, by time); RuntimeError when features fall behind."""
        for block in blocks_of(events, ORDERS_PER_BLOCK):
            self._score(block)
            self._send(block)
            self._ask(block)
            on_sent(block.num_rows)

    def send_raw(self, value: bytes) -> None:
        """Send bytes that are not an event, to see the stream go on."""
        self._writer.send(self._topic, value, b"nobody")
        self._writer.flush()

    def _score(self, block: pa.Table) -> None:
        """Rank for everybody who orders in the block, from the features as they are before it."""
        orders = orders_of(block)
        buyers = pc.unique(orders["user_id"]).to_pylist()
        sequences = self._features.read(SEQUENCES, buyers)
        generated = self._features.read(GENERATED, buyers)
        score_block(self._evaluation, sequences, generated, block)
        self._score_generated(orders, sequences, generated)

    def _score_generated(self, orders: pa.Table, sequences: pa.Table, generated: pa.Table) -> None:
        """Count which of the items that the logs do not hold were generated beforehand."""
        users = orders["user_id"].to_pylist()
        rows = with_generated(aligned(sequences, users), generated)
        answers = pa.table({"user_id": rows["user_id"], "item_ids": rows[GENERATED_ITEM_IDS]})
        labels = orders["label_item_ids"]
        reached = beyond_log_hit_rate(answers, rows.append_column("label_item_ids", labels))
        if reached.num_targets:
            self._beyond_log_hits += round(reached.hit_rate * reached.num_targets)
            self._beyond_log_targets += reached.num_targets

    @property
    def beyond_log_hit_rate(self) -> float | None:
        """Of the items that users bought and their log did not hold, the share generated before."""
        if not self._beyond_log_targets:
            return None
        return round(self._beyond_log_hits / self._beyond_log_targets, 5)

    def _send(self, block: pa.Table) -> None:
        """Send the block shuffled and with some events twice, and wait until it is readable."""
        self._expect(block)
        rows = list(range(block.num_rows))
        again = self._random.sample(rows, round(len(rows) * DUPLICATE_SHARE))
        order = self._random.sample(rows + again, len(rows) + len(again))
        dirty = block.take(pa.array(order, pa.int64()))
        users = dirty["user_id"].to_pylist()
        sent_at: dict[str, float] = {}
        started = time.monotonic()
        for user_id, value in zip(users, self._codec.encode_rows(dirty), strict=True):
            self._writer.send(self._topic, value, user_id.encode())
            sent_at[user_id] = time.monotonic()
        self._writer.flush()
        self._wait_until_readable(sent_at)
        self.streaming_s += time.monotonic() - started
        self.num_sent += len(order)
        self.num_duplicates += len(again)

    def _expect(self, block: pa.Table) -> None:
        """Keep beside the stream what its sequences must become."""
        strangers = self._expected.unknown(block["user_id"])
        self._expected.load(self._features.read(SEQUENCES, strangers))
        self._expected.merge(block)

    def _wait_until_readable(self, sent_at: dict[str, float]) -> None:
        rows = self._expected.rows_of(list(sent_at))
        waiting = dict(
            zip(rows["user_id"].to_pylist(), rows["event_keys"].to_pylist(), strict=True)
        )
        deadline = time.monotonic() + VISIBLE_TIMEOUT_S
        while waiting:
            found = self._features.read(SEQUENCES, list(waiting))
            now = time.monotonic()
            keys = zip(found["user_id"].to_pylist(), found["event_keys"].to_pylist(), strict=True)
            for user_id, event_keys in keys:
                if event_keys == waiting[user_id]:
                    del waiting[user_id]
                    self.freshness_ms.append((now - sent_at[user_id]) * 1000)
            if now > deadline:
                raise RuntimeError(
                    f"{len(waiting)} users' events are not readable after {VISIBLE_TIMEOUT_S:.0f} s"
                )
            time.sleep(_POLL_S)

    def _ask(self, block: pa.Table) -> None:
        """Ask for a few recommendations over HTTP, while the stream goes on."""
        users = sorted(set(block["user_id"].to_pylist()))
        for user_id in self._random.sample(users, min(REQUESTS_PER_BLOCK, len(users))):
            started = time.monotonic()
            self._http.get(f"/v1/users/{user_id}/recommendations").raise_for_status()
            self.recommend_ms.append((time.monotonic() - started) * 1000)
