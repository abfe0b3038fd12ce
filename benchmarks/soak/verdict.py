"""What became of all that was sent: from the log itself, the archive and the online store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_apps.runtime.feature_store import event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.feature_views import SEQUENCES
from reaseq.sequences.oracle import SequenceEvent, mismatched_users, newest_distinct_events
from reaseq.types import Column, Int64s
from streams.feature_store.features import Features
from streams.log.dead_letter_topic import DeadLetterTopic, Wanted
from streams.log.ports import Log, Partition
from streams.shards.checkpoints import Checkpoints

USERS_AT_ONCE = 2000


class Sent(NamedTuple):
    """All that was sent and confirmed."""

    events: pa.Table
    """EVENT_SCHEMA, the doubled ones twice."""
    malformed_keys: set[bytes]
    aborted_ids: set[str]


class Verdict(NamedTuple):
    """Every figure from `lost` on should be 0."""

    users: int
    distinct_events: int
    dead_letters: int
    """Distinct ones; after a crash a record may be set aside twice."""
    archived_again: int
    """Rows that a repetition after a crash added to the archive; its readers see one of them."""
    lost: int
    """Events that are not in the archive, malformed records that are no dead letter, and records
    of the log that are neither."""
    counted_twice: int
    """Events that readers of the archive see more than once, and records that the checkpoints count
    too often, or too rarely."""
    aborted_read: int
    """Events of aborted transactions that were taken in."""
    without_reason: int
    """Dead letters that do not say why."""
    mismatches: int
    """Users whose online sequence is not what all events together make of it."""

    @property
    def num_wrong(self) -> int:
        """Everything that should not be."""
        return sum(self[Verdict._fields.index("lost") :])


def is_caught_up(settings: Settings, log: Log) -> bool:
    """Whether the checkpoints stand at the end of the topic of events."""
    checkpoints = Checkpoints(Home(settings.home).checkpoints)
    with closing(log.reader("soak")) as reader:
        ends = reader.end_offsets(log.partitions(settings.topics.events))
    known = {partition: checkpoints.progress(partition) for partition in ends}
    return all(p is not None and p.next_offset >= ends[at] for at, p in known.items())


def num_read(settings: Settings, log: Log) -> int:
    """Offsets that the checkpoints have passed, over all partitions."""
    checkpoints = Checkpoints(Home(settings.home).checkpoints)
    kept = map(checkpoints.progress, log.partitions(settings.topics.events))
    return sum(progress.next_offset for progress in kept if progress)


def judge(settings: Settings, log: Log, sent: Sent) -> Verdict:
    """Compare; the stream must have ended."""
    archive = event_archive(settings)
    archived = archive.table.read(["user_id", "event_id", "partition", "log_offset"])
    read = _names(archive.read())
    num_twice = len(read) - len(pc.unique(read))
    visible = _visible(log, log.partitions(settings.topics.events))
    topic = DeadLetterTopic(log, settings.topics.dead_letters)
    letters = list(topic.read(Wanted(topic=settings.topics.events)))
    places = _places(np.asarray(archived["partition"]), np.asarray(archived["log_offset"]))
    set_aside = np.unique(
        _places(
            np.array([one.letter.source.number for one in letters], np.int64),
            np.array([one.letter.offset for one in letters], np.int64),
        )
    )
    unseen = np.setdiff1d(visible, np.concatenate([places, set_aside]))
    expected = _names(sent.events)
    missing = pc.invert(pc.is_in(expected, value_set=pc.unique(_names(archived))))
    oracle = newest_distinct_events(sent.events, settings.stream.max_sequence_events)
    return Verdict(
        users=len(oracle),
        distinct_events=len(pc.unique(expected)),
        dead_letters=len(set_aside),
        archived_again=len(places) - len(np.unique(places)),
        lost=len(unseen)
        + len(pc.unique(expected.filter(missing)))
        + len(sent.malformed_keys - {one.letter.key for one in letters}),
        counted_twice=num_twice + abs(_num_counted(settings, log) - len(visible)),
        aborted_read=len(sent.aborted_ids & set(archived["event_id"].to_pylist())),
        without_reason=sum(not one.letter.reason for one in letters),
        mismatches=len(_mismatched(settings, oracle)),
    )


def _mismatched(settings: Settings, oracle: dict[str, list[SequenceEvent]]) -> list[str]:
    features = Features.open(Home(settings.home).features)
    users = sorted(oracle)
    found = []
    for start in range(0, len(users), USERS_AT_ONCE):
        some = users[start : start + USERS_AT_ONCE]
        rows = features.read(SEQUENCES, some)
        found += mismatched_users(rows, {user: oracle[user] for user in some})
    return found


def _num_counted(settings: Settings, log: Log) -> int:
    checkpoints = Checkpoints(Home(settings.home).checkpoints)
    kept = map(checkpoints.progress, log.partitions(settings.topics.events))
    return sum(progress.counters.num_records for progress in kept if progress)


def _visible(log: Log, partitions: Iterable[Partition]) -> Int64s:
    """The places of all records of the log, as a reader of committed ones sees them."""
    with closing(log.reader("soak")) as reader:
        ends = reader.end_offsets(list(partitions))
        reached = reader.assign(dict.fromkeys(ends, 0))
        found = [np.empty(0, np.int64)]
        while any(reached[partition] < end for partition, end in ends.items()):
            for batch in reader.poll(1.0, 50_000):
                found.append(_places(batch.partition.number, batch.offsets))
                reached[batch.partition] = batch.next_offset
    return np.concatenate(found)


def _places(partitions: Int64s | int, offsets: Int64s) -> Int64s:
    """One number per record of the log."""
    return partitions * 2**40 + offsets


def _names(events: pa.Table) -> Column:
    """One text per event, user and id together: no user here has a space."""
    return pc.binary_join_element_wise(events["user_id"], events["event_id"], " ")
