"""How far the shards have come, from the log and the checkpoints alone, and as a person sees it."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from ray_apps.cli.status import PartitionStatus, Status, partition_statuses
from ray_apps.cli.tables import status_tables
from streams.log.memory import MemoryLog
from streams.log.ports import Partition, Topic
from streams.shards.checkpoints import Checkpoint, Checkpoints, Counters, Progress
from tests.printing import keeping_console, printed

EVENTS = Partition("events", 1)


def log_with(num_records: int) -> MemoryLog:
    """Records in the second of two partitions of events; a topic of items without any."""
    log = MemoryLog()
    log.create_topics([Topic("events", 2), Topic("items", 1)])
    for number in range(num_records):
        log.append(EVENTS, b"{}", b"%d" % number, ())
    return log


def test_without_a_checkpoint_everything_is_still_to_do(tmp_path: Path) -> None:
    """A system that has just started."""
    found = partition_statuses(("events", "items"), log_with(7), Checkpoints(tmp_path))
    assert [(p.topic, p.number, p.lag) for p in found] == [
        ("events", 0, 0),
        ("events", 1, 7),
        ("items", 0, 0),
    ]
    assert all(p.checkpoint_age_s is None and p.freshness_p50_ms is None for p in found)


def test_a_checkpoint_says_what_was_taken_in(tmp_path: Path) -> None:
    """Counts, freshness and age; the lag is what came after it."""
    checkpoints = Checkpoints(tmp_path)
    saved_at_ms = int((time.time() - 30) * 1000)
    progress = Progress(
        next_offset=5,
        counters=Counters(5, 3, 1),
        saved_at_ms=saved_at_ms,
        freshness_p50_ms=12.0,
        freshness_p99_ms=80.0,
        newest_event_time_ms=1_300_000_000_000,
    )
    checkpoints.save(EVENTS, Checkpoint(progress, {}))
    [_, found] = partition_statuses(("events",), log_with(7), checkpoints)
    assert (found.end_offset, found.next_offset, found.lag) == (7, 5, 2)
    assert (found.num_records, found.num_accepted, found.num_dead_letters) == (5, 3, 1)
    assert (found.freshness_p50_ms, found.freshness_p99_ms) == (12.0, 80.0)
    assert found.newest_event_time_ms == 1_300_000_000_000
    assert found.checkpoint_age_s is not None
    assert found.checkpoint_age_s >= 30


def test_a_checkpoint_that_was_never_stamped_has_no_age(tmp_path: Path) -> None:
    """Not one of half a century."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(EVENTS, Checkpoint(Progress(next_offset=2), {}))
    [_, found] = partition_statuses(("events",), log_with(2), checkpoints)
    assert (found.lag, found.checkpoint_age_s, found.freshness_p50_ms) == (0, None, None)


def status(**changes: object) -> Status:
    """A healthy system with two partitions."""
    partitions = [
        PartitionStatus("reaseq.events", 0, 1200, 1000, 1000, 900, 2, 4.0, 35.0, 180.0),
        PartitionStatus("reaseq.items", 0, 10, 10, 10, 10),
    ]
    healthy = Status(
        "http://127.0.0.1:8000", 42, True, "v0002", "v0001", None, None, [], ["v0001"], partitions
    )
    return msgspec.structs.replace(healthy, **changes)


def shown(of: Status) -> str:
    """The tables on a console of eighty columns."""
    console = keeping_console(80)
    for table in status_tables(of):
        console.print(table)
    return printed(console)


def test_a_person_sees_lag_freshness_and_versions() -> None:
    """Champion and what serves apart: a replica may not have taken the champion yet."""
    text = shown(status())
    assert "http://127.0.0.1:8000 answers, process 42" in text
    assert "champion v0002, serving v0001" in text
    assert "200 records not yet checkpointed" in text
    assert "1,000 records taken in" in text
    assert "35 ms" in text
    assert "180 ms" in text


def test_names_of_topics_are_whole_on_a_narrow_console() -> None:
    """Two topics that begin alike would look like one."""
    text = shown(status())
    assert text.count("reaseq.events") == text.count("reaseq.items") == 2


def test_what_is_missing_is_named() -> None:
    """And a system that does not answer stands out."""
    assert "nothing" in shown(status())
    text = shown(status(missing=["no_ranker", "no_generator"], healthy=False))
    assert "no_ranker, no_generator" in text
    assert "no answer" in text


def newest_of(*times_ms: int) -> str:
    """A system whose partitions have come to these event times."""
    partitions = [
        PartitionStatus("reaseq.events", n, 1, 1, newest_event_time_ms=time_ms)
        for n, time_ms in enumerate(times_ms)
    ]
    return shown(status(partitions=partitions))


def test_a_newest_event_that_lies_in_the_future_stands_out() -> None:
    """Of any partition; one of the past is only named."""
    past, future = 1_300_000_000_000, 4_070_908_800_000
    assert "2011-03-13T07:06:40Z" in newest_of(past, past - 1)
    assert "in the future" not in newest_of(past)
    assert "2099-01-01T00:00:00Z, in the future" in newest_of(past, future)
    assert "newest event" not in shown(status())


def test_programs_get_the_same_as_json() -> None:
    """`--json` holds every field, and can be read back."""
    assert msgspec.json.decode(msgspec.json.encode(status()), type=Status) == status()
