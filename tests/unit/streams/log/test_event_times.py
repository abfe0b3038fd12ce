"""Which event times are believed, by the rule and through a codec."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.events import MAX_EVENT_TIME_MS, Event, EventType, Item
from reaseq.types import DAY_MS
from streams.log.codec import event_codec, item_codec
from streams.log.event_times import YEAR_1980_MS, EventTimes
from streams.log.ports import Partition, Record, RecordBatch
from streams.log.record_batch import NO_TIMESTAMP_MS
from streams.settings import KafkaSettings

NOW_MS = 1_700_000_000_000
TIMES = EventTimes(YEAR_1980_MS, max_lead_ms=DAY_MS)
IN_2099_MS = 4_070_908_800_000


def event(time_ms: int) -> bytes:
    """An event of that time as JSON."""
    return event_codec(1000).encode(
        Event(
            event_id="e", user_id="u", item_id="i", event_type=EventType.VIEW, event_time_ms=time_ms
        )
    )


def batch(*records: tuple[bytes, int]) -> RecordBatch:
    """Values with the time at which each was produced."""
    made = [Record(n, produced_ms, b"u", value) for n, (value, produced_ms) in enumerate(records)]
    return RecordBatch.from_records(Partition("events", 0), made, len(made))


@pytest.mark.parametrize(
    ("time_ms", "produced_ms", "is_believed"),
    [
        (NOW_MS, NOW_MS, True),
        (NOW_MS + DAY_MS, NOW_MS, True),
        (NOW_MS + DAY_MS + 1, NOW_MS, False),
        (IN_2099_MS, NOW_MS, False),
        (IN_2099_MS, IN_2099_MS, False),  # the producer's clock is as wrong as the event's
        (IN_2099_MS, NO_TIMESTAMP_MS, False),
        (NOW_MS, NO_TIMESTAMP_MS, True),
        (NOW_MS, 0, True),  # what some clients write for none
        (IN_2099_MS, 0, False),
        (NOW_MS, NOW_MS - 2 * DAY_MS, False),  # it was in the future when it was produced
        (YEAR_1980_MS, NOW_MS, True),
        (YEAR_1980_MS - 1, NOW_MS, False),
        (0, NOW_MS, False),
        (NOW_MS // 1000, NOW_MS, False),  # seconds taken for milliseconds
    ],
)
def test_a_time_is_believed_up_to_its_record_and_now(
    time_ms: int, produced_ms: int, is_believed: bool
) -> None:
    """However late it is, and a day ahead at most; what is refused is named with its setting."""
    decoded = event_codec(1000, TIMES).decode_batch(batch((event(time_ms), produced_ms)), NOW_MS)
    assert decoded.table.num_rows == is_believed
    assert len(decoded.rejects) == (not is_believed)
    for reject in decoded.rejects:
        assert str(time_ms) in reject.reason
        assert "kafka.m" in reject.reason


@given(
    st.lists(st.sampled_from([b"{", event(NOW_MS), event(0), event(IN_2099_MS), b""]), max_size=8)
)
def test_rejects_of_both_kinds_keep_their_positions(values: list[bytes]) -> None:
    """Each record is in the table or among the rejects, once, in the order of the log."""
    decoded = event_codec(1000, TIMES).decode_batch(batch(*((v, NOW_MS) for v in values)), NOW_MS)
    bad = [position for position, value in enumerate(values) if value != event(NOW_MS)]
    assert [reject.position for reject in decoded.rejects] == bad
    assert decoded.table.num_rows == len(values) - len(bad)


@given(st.lists(st.integers(0, MAX_EVENT_TIME_MS - 1)))
def test_without_a_rule_every_time_is_believed(times_ms: list[int]) -> None:
    """A codec that was given none leaves the types to decide."""
    decoded = event_codec(1000).decode_batch(batch(*((event(t), NOW_MS) for t in times_ms)), NOW_MS)
    assert decoded.table["event_time_ms"].to_pylist() == times_ms


def test_descriptions_of_items_keep_the_rule() -> None:
    """A description of 2099 would stay the newest for good."""
    codec = item_codec(1000, TIMES)
    value = codec.encode(Item(item_id="i", title="cup", event_time_ms=IN_2099_MS))
    (reject,) = codec.decode_batch(batch((value, NOW_MS)), NOW_MS).rejects
    assert "ahead of its record" in reject.reason


def test_the_settings_say_what_is_believed() -> None:
    """Seconds in the settings, milliseconds in the rule; a day by default."""
    assert KafkaSettings().event_times == TIMES
    settings = KafkaSettings(max_event_lead_s=1.5, min_event_time_ms=7)
    assert settings.event_times == EventTimes(7, 1500)
    assert settings.event_times.latest_ms(np.array([10, 30]), 20).tolist() == [1510, 1520]
