"""Decoding takes any bytes: good records become columns, the others a reason."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.events import Event, EventType
from reaseq.schemas import EVENT_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec, item_codec

GOOD = (
    b'{"event_id":"e1","user_id":"ann","item_id":"mug","event_type":"purchase",'
    b'"event_time_ms":1300000000000,"value":2.5,"context":{"quantity":6}}'
)


def column(*values: bytes | None) -> ByteSlices:
    """Values as a batch of records holds them."""
    return ByteSlices.of(values)


events = st.builds(
    Event,
    event_id=st.text(min_size=1, max_size=20),
    user_id=st.text(min_size=1, max_size=20),
    item_id=st.text(min_size=1, max_size=20),
    event_type=st.sampled_from(EventType),
    event_time_ms=st.integers(0, 2_000_000_000_000),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    context=st.none() | st.dictionaries(st.text(), st.integers(-(2**50), 2**50), max_size=3),
)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`"),
        (b"[1]", "Expected `object`"),
        (b"{", "truncated"),
        (GOOD + GOOD, "trailing"),
        (b"{}", "missing required field `event_id`"),
        (GOOD.replace(b"purchase", b"bought"), "'bought' - at `$.event_type`"),
        (GOOD.replace(b"1300000000000", b"-1"), "at `$.event_time_ms`"),
        (GOOD.replace(b"1300000000000", b"1300000000000000000"), "at `$.event_time_ms`"),
        (GOOD.replace(b"1300000000000", b'"now"'), "at `$.event_time_ms`"),
        (GOOD.replace(b'"ann"', b"17850"), "at `$.user_id`"),
        (GOOD.replace(b"ann", b""), "at `$.user_id`"),
        (GOOD.replace(b"ann", b"a" * 300), "at `$.user_id`"),
        (GOOD.replace(b"ann", b"\xff"), "not UTF-8"),
        (GOOD.replace(b"2.5", b"1e999"), "at `$.value`"),
        (GOOD.replace(b"2.5", b"NaN"), "malformed"),
        (GOOD.replace(b"6", b"[" * 4000 + b"]" * 4000), "too deeply"),
        (b'{"context":"' + b"x" * 10_000 + b'"}', "bytes, more than the 10000 allowed"),
        (None, "no value"),
    ],
)
def test_a_bad_value_is_set_aside_with_its_reason_and_the_others_go_on(
    value: bytes | None, reason: str
) -> None:
    """Between two good events, each kind of bad one is rejected by position and named."""
    decoded = event_codec(10_000).decode(column(GOOD, value, GOOD))
    assert decoded.table["event_id"].to_pylist() == ["e1", "e1"]
    (reject,) = decoded.rejects
    assert reject.position == 1
    assert reason in reject.reason


@given(st.lists(st.binary(max_size=60) | st.just(GOOD), max_size=8))
def test_no_bytes_can_stop_the_decoder(values: list[bytes]) -> None:
    """Every value is either a row or a reject, and rows keep their order."""
    decoded = event_codec(10_000).decode(column(*values))
    assert decoded.table.schema == EVENT_SCHEMA
    assert decoded.table.num_rows + len(decoded.rejects) == len(values)
    decoded.table.validate(full=True)


@given(st.lists(events, max_size=5))
def test_what_is_encoded_is_decoded_again(sent: list[Event]) -> None:
    """The round trip keeps every column; `context` stays in the log."""
    codec = event_codec(1_000_000)
    decoded = codec.decode(column(*map(codec.encode, sent)))
    assert decoded.rejects == []
    expected = [{name: getattr(event, name) for name in EVENT_SCHEMA.names} for event in sent]
    assert decoded.table.to_pylist() == expected
    again = codec.decode(column(*codec.encode_rows(decoded.table)))
    assert again.table.equals(decoded.table)


def test_items_have_their_own_codec() -> None:
    """An item needs an id, a title and a time; the rest may be missing."""
    decoded = item_codec(1000).decode(
        column(b'{"item_id":"mug","title":"Mug","event_time_ms":5}', b'{"item_id":"mug"}')
    )
    assert decoded.table.to_pylist()[0]["price"] is None
    assert decoded.rejects[0].reason.startswith("Object missing required field `title`")


def test_a_rejected_value_says_how_large_it_was() -> None:
    """A 2 MB event is refused unread, by its size."""
    big = msgspec.json.encode({"event_id": "x" * 2_000_000})
    decoded = event_codec(262_144).decode(column(big))
    assert decoded.table.num_rows == 0
    assert isinstance(decoded.table, pa.Table)
    assert "2000" in decoded.rejects[0].reason
