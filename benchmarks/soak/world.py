"""What is sent: events of which some are doubled and late, and everything that goes wrong at once.

It comes in portions, so that each kill meets some of it under way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.soak.malformed import FIRST_MS, good_event, malformed
from reaseq.schemas import EVENT_SCHEMA
from streams.log.partitioner import partition_of

DOUBLED, LATE, MALFORMED, ABORTED = 0.02, 0.05, 0.1, 0.02
"""Shares of the events: sent twice, late by up to a month; so many malformed records and events of
aborted transactions come on top."""

MISPLACED = 0.1
"""Of the malformed records: good events that lie in another partition than their user's."""

NUM_PARTITIONS = 4
STEP_MS, MONTH_MS = 20, 30 * 86_400_000
TYPES = ("view", "click", "cart", "purchase", "return")
EVENTS_PER_USER = 50
"""On average; a few have many times as many, so that their old events fall out of the sequence."""


class Portion(NamedTuple):
    """Records that are sent together, in any order."""

    events: pa.Table
    """EVENT_SCHEMA, the doubled ones twice."""
    malformed: list[tuple[bytes, bytes | None]]
    """Keys, by which they are known again, and values."""
    aborted: pa.Table
    """EVENT_SCHEMA: nobody may ever see them."""


def portions(num_events: int, num_portions: int, seed: int) -> Iterator[Portion]:
    """All that is sent, the same for a seed; the doubled ones count among the events."""
    rng = np.random.default_rng(seed)
    texts = random.Random(seed)
    num_users = max(20, num_events // EVENTS_PER_USER)
    before = EVENT_SCHEMA.empty_table()
    bounds = np.linspace(0, num_events, num_portions + 1).astype(np.int64)
    for first, last in pairwise(bounds.tolist()):
        numbers = np.arange(first, last)
        num_again = int(DOUBLED * len(numbers))
        new = _events(rng, numbers[num_again:], num_users, "e")
        known = pa.concat_tables([before, new])
        again = known.take(rng.integers(0, len(known), num_again))
        events = pa.concat_tables([new, again])
        before = new
        yield Portion(
            events.take(rng.permutation(len(events))),
            [_malformed(texts, n) for n in numbers[: int(MALFORMED * len(numbers))]],
            _events(rng, numbers[: int(ABORTED * len(numbers))], num_users, "aborted-"),
        )


def _malformed(rng: random.Random, number: int) -> tuple[bytes, bytes | None]:
    """A key of its own, and a value that nobody can read, or a good one that is misplaced."""
    key = b"m%d" % number
    if rng.random() > MISPLACED:
        return key, malformed(rng)
    place = partition_of(key, NUM_PARTITIONS)
    event = good_event(rng)
    while partition_of(event["user_id"].encode(), NUM_PARTITIONS) == place:
        event = good_event(rng)
    return key, msgspec.json.encode(event)


def _events(rng: np.random.Generator, numbers: np.ndarray, num_users: int, prefix: str) -> pa.Table:
    num = len(numbers)
    late_ms = np.where(rng.random(num) < LATE, rng.integers(0, MONTH_MS, num), 0)
    users = (num_users * rng.random(num) ** 2).astype(np.int64)
    has_value = rng.random(num) < 0.5
    columns = [
        [f"{prefix}{number}" for number in numbers.tolist()],
        [f"u{user}" for user in users.tolist()],
        [f"i{item}" for item in rng.integers(0, 5000, num).tolist()],
        [TYPES[kind] for kind in rng.integers(0, len(TYPES), num).tolist()],
        FIRST_MS + STEP_MS * numbers - late_ms,
        pa.array(rng.integers(1, 10_000, num) / 100, mask=~has_value),
    ]
    return pa.table(columns, schema=EVENT_SCHEMA)
