"""Sequences as recommendations were made from, against a replay of the archive up to there.

An impression holds the features that it was made from. They must be what the user's events had
become after the last of them had arrived: then training sees what serving saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pyarrow as pa

from reaseq.sequences.hashing import hash64
from reaseq.sequences.oracle import newest_distinct_events
from streams.erasure.erased_users import ErasedUsers
from streams.log.ports import Log
from streams.offline.events import EventArchive
from streams.verification.causes import Cause, HeldEvent, value_bits
from streams.verification.online import Mismatch

READER_NAME = "reaseq-verify"


class Served(NamedTuple):
    """The sequence that an impression was made from."""

    user_id: str
    sequence: list[HeldEvent]


class _Features(msgspec.Struct):
    event_times_ms: list[int]
    event_keys: list[int]
    item_ids: list[str]
    event_types: list[str]
    event_values: list[float | None]


class _Impression(msgspec.Struct):
    user_id: str
    served_at_ms: int
    features: _Features | None


def still_there(served: Sequence[Served], erased: ErasedUsers) -> list[Served]:
    """Those of whose events none was erased since: no archive can bear out the others."""
    until_ms = erased.until_ms(pa.array([one.user_id for one in served], pa.string())).tolist()
    return [
        one
        for one, erased_ms in zip(served, until_ms, strict=True)
        if all(event.event_time_ms > erased_ms for event in one.sequence)
    ]


def newest_served(log: Log, topic: str, num_impressions: int) -> list[Served]:
    """The newest impressions of users who were known; what is none of ours is passed over."""
    found: list[_Impression] = []
    with closing(log.reader(READER_NAME)) as reader:
        ends = reader.end_offsets(log.partitions(topic))
        starts = {one: max(0, end - num_impressions) for one, end in ends.items()}
        reached = reader.assign(starts) if starts else {}
        while any(reached[partition] < end for partition, end in ends.items()):
            for batch in reader.poll(1.0, 1000):
                found += _impressions(batch.values[n] for n in range(len(batch)))
                reached[batch.partition] = batch.next_offset
    found.sort(key=lambda one: one.served_at_ms)
    return [
        Served(one.user_id, _held(one.features))
        for one in found[-num_impressions:]
        if one.features is not None
    ]


def _impressions(values: Iterable[bytes | None]) -> Iterator[_Impression]:
    for value in values:
        try:
            yield msgspec.json.decode(value or b"", type=_Impression)
        except (ValueError, RecursionError):
            continue


def _held(features: _Features) -> list[HeldEvent]:
    values = value_bits(features.event_values).tolist()
    columns = (features.event_times_ms, features.event_keys, features.item_ids)
    return list(map(HeldEvent, *columns, features.event_types, values))


def served_mismatches(
    archive: EventArchive, served: Sequence[Served], max_events: int
) -> list[Mismatch]:
    """The users to whom something was served that their events never were."""
    by_user: dict[str, list[Served]] = defaultdict(list)
    for one in served:
        by_user[one.user_id].append(one)
    arrivals = archive.in_turn(sorted(by_user))
    users = arrivals["user_id"].to_pylist()
    bounds = [n for n in range(len(users) + 1) if n in (0, len(users)) or users[n] != users[n - 1]]
    found: list[Mismatch] = []
    for start, end in pairwise(bounds):
        theirs = arrivals.slice(start, end - start)
        found += _of_one_user(theirs, by_user.pop(users[start]), max_events)
    unknown = [user for user, ones in by_user.items() if any(one.sequence for one in ones)]
    return found + [Mismatch(user, Cause.AHEAD) for user in unknown]


def _of_one_user(arrivals: pa.Table, served: list[Served], max_events: int) -> Iterator[Mismatch]:
    events = _each(arrivals)
    first_at: dict[HeldEvent, int] = {}
    for place, event in enumerate(events):
        first_at.setdefault(event, place)
    for one in served:
        if not all(event in first_at for event in one.sequence):
            yield Mismatch(one.user_id, Cause.AHEAD)
            continue
        last = max((first_at[event] for event in one.sequence), default=-1)
        became = newest_distinct_events(arrivals.slice(0, last + 1), max_events)
        keys = [event.event_key for event in became.get(one.user_id, [])]
        if keys != [event.event_key for event in one.sequence]:
            yield Mismatch(one.user_id, Cause.NEVER)


def _each(events: pa.Table) -> list[HeldEvent]:
    """Events of the archive as a sequence holds them."""
    columns = (
        events["event_time_ms"].to_pylist(),
        hash64(events["event_id"]).tolist(),
        events["item_id"].to_pylist(),
        events["event_type"].to_pylist(),
        value_bits(events["value"].to_pylist()).tolist(),
    )
    return list(map(HeldEvent, *columns))
