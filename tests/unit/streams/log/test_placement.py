"""`streams.log.placement` and what the codec makes of it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.log.codec import event_codec, item_codec
from streams.log.event_times import ANY_TIME
from streams.log.partitioner import partition_of
from streams.log.placement import Placement
from streams.log.ports import Partition, Record, RecordBatch

VALUE = (
    '{"event_id":"e%d","user_id":"%s","item_id":"i","event_type":"view",'
    '"event_time_ms":1700000000000}'
)


def batch(number: int, values: list[bytes]) -> RecordBatch:
    records = [Record(n, 1_700_000_000_000, b"any", value, ()) for n, value in enumerate(values)]
    return RecordBatch.from_records(Partition("events", number), records, len(values))


@given(
    users=st.lists(st.text(min_size=1, max_size=20), max_size=30),
    num_partitions=st.integers(1, 12),
    number=st.integers(0, 11),
)
def test_misplaced_are_those_whom_the_partitioner_sends_elsewhere(
    users: list[str], num_partitions: int, number: int
) -> None:
    """User by user, for ids of any characters."""
    found = Placement(num_partitions).misplaced(pa.array(users, pa.string()), number)
    assert found.tolist() == [
        place
        for place, user in enumerate(users)
        if partition_of(user.encode(), num_partitions) != number
    ]


def test_an_event_in_another_partition_is_rejected_with_what_to_do() -> None:
    """Beside one that is malformed and one of a wrong time; each has its own reason."""
    placement = Placement(4)
    users = [f"u{n}" for n in range(40)]
    values = [(VALUE % (n, user)).encode() for n, user in enumerate(users)]
    values[3] = b"{"
    codec = event_codec(10_000, ANY_TIME, placement)
    decoded = codec.decode_batch(batch(2, values), 1_700_000_000_000)
    in_place = [f"u{n}" for n in range(40) if partition_of(b"u%d" % n, 4) == 2 and n != 3]
    assert decoded.table["user_id"].to_pylist() == in_place
    assert len(decoded.rejects) == 40 - len(in_place)
    assert [one.position for one in decoded.rejects] == sorted(
        one.position for one in decoded.rejects
    )
    reason = next(one.reason for one in decoded.rejects if one.position != 3)
    for part in ("belongs in partition", "of 4, not in 2", "key = user_id", "murmur2_random"):
        assert part in reason


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_items_may_lie_anywhere(number: int) -> None:
    """Items belong to nobody."""
    value = b'{"item_id":"mug","title":"A mug","event_time_ms":1700000000000}'
    decoded = item_codec(10_000, ANY_TIME, Placement(4)).decode_batch(batch(number, [value]))
    assert decoded.rejects == []
