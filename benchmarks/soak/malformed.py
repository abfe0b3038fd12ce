"""Records that must become dead letters, of every kind that somebody once sent."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from reaseq.events import Event

FIRST_MS = 1_700_000_000_000
FAR_MS, EARLY_MS = 4_000_000_000_000, 86_400_000

_READER = msgspec.json.Decoder(Event)


def malformed(rng: random.Random) -> bytes | None:
    """The value of one record that no reader of events may accept."""
    return rng.choice(_KINDS)(rng)


def good_event(rng: random.Random) -> dict[str, Any]:
    """An event that anybody would accept."""
    return {
        "event_id": f"m{rng.getrandbits(60)}",
        "user_id": f"u{rng.randrange(1000)}",
        "item_id": f"i{rng.randrange(1000)}",
        "event_type": "view",
        "event_time_ms": FIRST_MS,
    }


def _noise(rng: random.Random) -> bytes:
    # A first byte with which no JSON begins.
    return b"\xff" + rng.randbytes(rng.randrange(40))


def _tombstone(rng: random.Random) -> None:
    return None


def _cut(rng: random.Random) -> bytes:
    whole = msgspec.json.encode(good_event(rng))
    return whole[: rng.randrange(len(whole))]


def _mutated(rng: random.Random) -> bytes:
    """Some bytes changed, left out or put in, until msgspec reads it no more."""
    value = bytearray(msgspec.json.encode(good_event(rng)))
    while True:
        place = rng.randrange(len(value))
        value[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            _READER.decode(bytes(value))
        except (ValueError, RecursionError):
            return bytes(value)
        if not value:
            value = bytearray(b"{}")


def _wrong_field(rng: random.Random) -> bytes:
    """One field of a type or a size that it cannot have, or none at all."""
    event = good_event(rng)
    name = rng.choice(list(event))
    wrong: list[Any] = [None, [], {}, True, "", -1, 1.5, "x" * 300, 10**30, "\x00" * 257]
    event[name] = rng.choice(wrong)
    if rng.random() < 0.2:
        del event[name]
    value = msgspec.json.encode(event)
    try:
        _READER.decode(value)
    except ValueError:
        return value
    return _wrong_field(rng)


def _not_an_object(rng: random.Random) -> bytes:
    return rng.choice([b"null", b"[]", b"1", b'"event"', b"true", b" ", b"", b"{}", b"NaN"])


def _deep(rng: random.Random) -> bytes:
    depth = rng.randrange(2_000, 20_000)
    return b'{"context":' * depth if rng.random() < 0.5 else b"[" * depth


def _bad_text(rng: random.Random) -> bytes:
    """No UTF-8, half a character, a control character in a text."""
    value = msgspec.json.encode(good_event(rng))
    bad = rng.choice([b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800\xff", b"\x01", b"\\x", b"\n"])
    return value.replace(b'"item_id":"', b'"item_id":"' + bad)


def _too_large(rng: random.Random) -> bytes:
    value = msgspec.json.encode(good_event(rng))
    return value + b" " * 270_000 if rng.random() < 0.01 else _cut(rng)


def _wrong_time(rng: random.Random) -> bytes:
    return msgspec.json.encode(
        {**good_event(rng), "event_time_ms": rng.choice([FAR_MS, EARLY_MS, 0])}
    )


_KINDS: list[Callable[[random.Random], bytes | None]] = [
    _noise,
    _tombstone,
    _cut,
    _mutated,
    _wrong_field,
    _not_an_object,
    _deep,
    _bad_text,
    _too_large,
    _wrong_time,
]
