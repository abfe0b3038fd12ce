"""Malformed records of every kind, by the thousand; `make soak` sends more of them."""

from __future__ import annotations

import random

from benchmarks.soak.malformed import malformed
from streams.log.codec import event_codec
from streams.log.ports import Partition, Record, RecordBatch
from streams.settings import KafkaSettings


def test_every_malformed_record_is_rejected_with_a_reason_and_no_other_is() -> None:
    """One good event among some hundred of them comes through."""
    rng = random.Random(7)
    settings = KafkaSettings()
    codec = event_codec(settings.max_event_bytes, settings.event_times)
    good = (
        b'{"event_id":"e","user_id":"u","item_id":"i","event_type":"view",'
        b'"event_time_ms":1700000000000}'
    )
    for _ in range(50):
        values = [*(malformed(rng) for _ in range(399)), good]
        rng.shuffle(values)
        now_ms = 1_800_000_000_000
        records = [Record(n, now_ms, b"u", value, ()) for n, value in enumerate(values)]
        batch = RecordBatch.from_records(Partition("events", 0), records, len(records))
        decoded = codec.decode_batch(batch, now_ms)
        assert decoded.table["event_id"].to_pylist() == ["e"]
        assert [one.position for one in decoded.rejects] == [
            position for position, value in enumerate(values) if value != good
        ]
        assert all(one.reason for one in decoded.rejects)
