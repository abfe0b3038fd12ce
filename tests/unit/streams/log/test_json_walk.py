"""The compiled loop never contradicts msgspec: what it reads is the same, the rest it leaves."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reaseq.events import Event, Item
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec, item_codec
from streams.log.json_walk import JsonWalk

MAX_BYTES = 10_000
EVENT = {
    "event_id": "e1",
    "user_id": "größe",
    "item_id": "茶",
    "event_type": "purchase",
    "event_time_ms": 1_300_000_000_000,
    "value": 2.5,
}
PLAIN = json.dumps(EVENT, ensure_ascii=False)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
almost_events = st.fixed_dictionaries(
    {
        "event_id": st.text(max_size=5) | json_values,
        "user_id": st.text(min_size=1, max_size=300),
        "item_id": st.text(min_size=1, max_size=5),
        "event_type": st.sampled_from(["view", "purchase", "return", "Purchase", "", "views"]),
        "event_time_ms": st.integers(-5, 2**64) | st.floats(0, 1e15),
    },
    optional={
        "value": json_values,
        "context": json_values,
        "other": json_values,
    },
)


def expected(values: Sequence[bytes], record_type: type[msgspec.Struct], schema: pa.Schema) -> Any:
    """The rows and the positions of the bad ones, by msgspec alone."""
    decoder, rows, bad = msgspec.json.Decoder(record_type), [], []
    for position, value in enumerate(values):
        try:
            record = decoder.decode(value)
        except (ValueError, RecursionError):
            bad.append(position)
        else:
            rows.append({name: getattr(record, name) for name in schema.names})
    return rows, bad


def agree_on_events(*values: bytes) -> None:
    decoded = event_codec(MAX_BYTES).decode(ByteSlices.of(values))
    rows, bad = expected(values, Event, EVENT_SCHEMA)
    assert repr(decoded.table.to_pylist()) == repr(
        [dict(row) | {"event_type": str(row["event_type"])} for row in rows]
    )
    assert [reject.position for reject in decoded.rejects] == bad
    assert all(reject.reason for reject in decoded.rejects)
    decoded.table.validate(full=True)


@given(
    st.lists(almost_events, min_size=1, max_size=6), st.booleans(), st.sampled_from([None, 1, "\t"])
)
def test_events_of_every_kind_are_read_as_msgspec_reads_them(
    given_events: list[dict[str, Any]], as_ascii: bool, indent: int | str | None
) -> None:
    """Good ones and those that are nearly good, escaped or not, with any white space."""
    given_texts = [
        json.dumps(one, ensure_ascii=as_ascii, indent=indent).encode(errors="surrogatepass")
        for one in given_events
    ]
    agree_on_events(*given_texts)


numbers = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,4})?", fullmatch=True)


@given(numbers)
@example("0.1")
@example("-0.0")
@example("123456789012345e22")
@example("9007199254740993")
@example("1e400")
@example("00")
@example("1.")
def test_numbers_are_the_nearest_doubles(number: str) -> None:
    """To the last bit, as a value and inside a context; numbers that are none are refused."""
    agree_on_events(
        PLAIN.replace("2.5", number).encode(),
        PLAIN.replace("1300000000000", number).encode(),
        PLAIN.replace("2.5", '2.5,"context":{"n":[' + number + "]}").encode(),
    )


@pytest.mark.parametrize("seed", range(40))
def test_damaged_records_are_read_or_refused_as_by_msgspec(seed: int) -> None:
    """Five thousand of them at once: bytes changed, lost, doubled, cut off, put together."""
    rng = random.Random(seed)
    whole = [
        PLAIN.encode(),
        json.dumps(EVENT | {"context": {"a": [1, {"b": None}], "c": "ü\\ud83d"}}).encode(),
        json.dumps(EVENT | {"value": None, "more": [[], {}, [True, -1.5e3]]}).encode(),
    ]
    agree_on_events(*(damaged(rng.choice(whole), rng) for _ in range(500)))


def damaged(value: bytes, rng: random.Random) -> bytes:
    """The value with one to three wounds; a part of them heals to something that is good."""
    content = bytearray(value)
    for _ in range(rng.randrange(1, 4)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.randrange(1, 6))
        match rng.randrange(5):
            case 0:
                content[start:end] = bytes(rng.randrange(256) for _ in range(end - start))
            case 1:
                del content[start:end]
            case 2:
                content[start:start] = content[start:end]
            case 3:
                content[start:end] = rng.choice(
                    [b'"', b"\\", b"{", b"}", b"[", b",", b":", b" ", b"\x80"]
                )
            case _:
                content = content[:start] or content
    return bytes(content)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "item_id": st.text(max_size=4),
                "title": st.text(max_size=9),
                "event_time_ms": st.integers(0, 2**42),
            },
            optional={"price": json_values, "description": st.none() | st.text(max_size=9)},
        ),
        min_size=1,
        max_size=4,
    )
)
def test_items_are_read_as_msgspec_reads_them(given_items: list[dict[str, Any]]) -> None:
    """Another struct, with texts that may be missing."""
    values = [
        json.dumps(one, ensure_ascii=False).encode(errors="surrogatepass") for one in given_items
    ]
    decoded = item_codec(MAX_BYTES).decode(ByteSlices.of(values))
    rows, bad = expected(values, Item, ITEM_SCHEMA)
    assert repr(decoded.table.to_pylist()) == repr(rows)
    assert [reject.position for reject in decoded.rejects] == bad


def test_what_shops_send_is_read_without_msgspec() -> None:
    """Else the loop would be of no use, and nothing else would show it."""
    sent = [
        PLAIN,
        json.dumps(
            EVENT | {"context": {"quantity": 6, "tags": ["a", "b"], "nested": {"x": None}}},
            ensure_ascii=False,
        ),
        json.dumps(dict(reversed(EVENT.items())), ensure_ascii=False, indent=2),
        json.dumps({name: of for name, of in EVENT.items() if name != "value"}, ensure_ascii=False),
        json.dumps(EVENT | {"value": None, "shop": "west", "price": -1.25e-3}, ensure_ascii=False),
    ]
    values = ByteSlices.of([one.encode() for one in sent])
    table, is_read = JsonWalk(Event, EVENT_SCHEMA).read(values, MAX_BYTES)
    assert is_read.all()
    assert table["user_id"].to_pylist() == ["größe"] * 5
    assert table["value"].to_pylist() == [2.5, 2.5, 2.5, None, None]


def test_a_field_that_the_loop_cannot_read_is_left_to_msgspec() -> None:
    """A struct may have any types; only what is understood is taken."""

    class Odd(msgspec.Struct):
        name: str
        parts: list[int] = []

    schema = pa.schema([pa.field("name", pa.string())])
    values = ByteSlices.of(
        [b'{"name":"a"}', b'{"name":"b","parts":[1]}', b'{"name":"c","parts":[]}']
    )
    table, is_read = JsonWalk(Odd, schema).read(values, MAX_BYTES)
    assert is_read.tolist() == [True, False, False]
    assert table["name"].to_pylist() == ["a"]


def test_nothing_to_read_is_an_empty_table() -> None:
    """Also when all of it is missing."""
    walk = JsonWalk(Event, EVENT_SCHEMA)
    for values, is_read in ((ByteSlices.of([]), []), (ByteSlices.of([None, b""]), [False, False])):
        table, found = walk.read(values, MAX_BYTES)
        assert table.equals(EVENT_SCHEMA.empty_table())
        assert np.asarray(found).tolist() == is_read
