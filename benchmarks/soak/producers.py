"""Producers as shops have them: every codec, with transactions and without, sending until it is in.

What a producer is not sure of is sent again, which is what makes doubled events.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
from kafka import KafkaProducer
from kafka.errors import KafkaError

from benchmarks.soak.world import Portion
from streams.log.codec import event_codec
from streams.settings import KafkaSettings, TopicSettings

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
MAX_BYTES = 1_000_000
DELIVERY_S = 60.0
TRANSACTION_S = 15
"""A transaction whose producer is gone is aborted by then; readers wait for it."""

RETRY_S = 0.5

Keyed = tuple[bytes, bytes | None]


class Producers:
    """Sends portions to the topic of events; returns when all of one is confirmed."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, seed: int) -> None:
        self._topic = topics.events
        self._options = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "max_request_size": 2 * MAX_BYTES,
            "delivery_timeout_ms": int(DELIVERY_S * 1000),
            "reconnect_backoff_max_ms": 1000,
            "linger_ms": 5,
        }
        self._rng = random.Random(seed)
        self._run = self._rng.getrandbits(40)
        self.num_repeats = 0
        """Lots that were sent again because it was not certain that they had arrived."""

    def send(self, portion: Portion) -> None:
        """Each codec takes a share of the records; a share of them goes in a transaction."""
        events = _encoded(portion.events)
        self._rng.shuffle(portion.malformed)
        records = events + portion.malformed
        self._rng.shuffle(records)
        shares = [records[start :: len(CODECS) + 1] for start in range(len(CODECS) + 1)]
        for codec, share in zip(CODECS, shares, strict=False):
            self._until_in(self._plainly, share, {"compression_type": codec})
        transactional = {
            "transactional_id": f"soak-{self._run}",
            "transaction_timeout_ms": TRANSACTION_S * 1000,
        }
        self._until_in(self._committed, shares[-1], transactional)
        self._until_in(self._aborted, _encoded(portion.aborted), transactional)

    def _until_in(
        self,
        send: Callable[[Any, Sequence[Keyed]], None],
        records: Sequence[Keyed],
        options: dict[str, Any],
    ) -> None:
        while True:
            try:
                producer = KafkaProducer(**self._options, **options)
                try:
                    send(producer, records)
                    return
                finally:
                    with suppress(KafkaError):
                        producer.close(timeout=1)
            except (KafkaError, AssertionError):
                # The client asserts where a broker goes away at certain moments.
                self.num_repeats += 1
                time.sleep(RETRY_S)

    def _plainly(self, producer: Any, records: Sequence[Keyed]) -> None:
        sent = [producer.send(self._topic, value=value, key=key) for key, value in records]
        producer.flush(timeout=DELIVERY_S)
        for one in sent:
            one.get(timeout=DELIVERY_S)

    def _committed(self, producer: Any, records: Sequence[Keyed]) -> None:
        producer.init_transactions()
        producer.begin_transaction()
        self._plainly(producer, records)
        producer.commit_transaction()

    def _aborted(self, producer: Any, records: Sequence[Keyed]) -> None:
        producer.init_transactions()
        producer.begin_transaction()
        self._plainly(producer, records)
        producer.abort_transaction()


def _encoded(events: pa.Table) -> list[Keyed]:
    values = event_codec(MAX_BYTES).encode_rows(events)
    return [
        (user.encode(), value)
        for user, value in zip(events["user_id"].to_pylist(), values, strict=True)
    ]
