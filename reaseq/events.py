"""What happened: the typed events and items that enter the system.

These are the records of the topics `reaseq.events` and `reaseq.items`. One record is for people and
programs at the edge (the HTTP API, tests); the stream itself works on whole columns, see
`reaseq.schemas`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

MAX_ID_LENGTH = 256
"""Longest identifier in characters. Longer ones are refused: an id is a key, not a document."""

MAX_EVENT_TIME_MS = 4_102_444_800_000
"""2100-01-01. A time beyond it is a unit error (microseconds sent as milliseconds)."""


def shown_time(time_ms: int) -> str:
    """A moment as people read it. Example: 1300000000000 is 2011-03-13T07:06:40Z."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%FT%TZ}"


class EventType(StrEnum):
    """What a user did with an item. `return` undoes a purchase and is an event of its own."""

    VIEW = "view"
    CLICK = "click"
    CART = "cart"
    PURCHASE = "purchase"
    RETURN = "return"


Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
EventTimeMs = Annotated[int, msgspec.Meta(ge=0, lt=MAX_EVENT_TIME_MS)]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a user did with an item.

    `(user_id, event_id)` is the identity: the same id of one user sent twice is the same event, of
    two users it is two. `event_time_ms` is when it happened (milliseconds since 1970, UTC), not
    when it was sent. `value` is what it was worth in the shop's currency. `context` is carried by
    the log and not interpreted.
    """

    event_id: Identifier
    user_id: Identifier
    item_id: Identifier
    event_type: EventType
    event_time_ms: EventTimeMs
    value: float | None = None
    context: dict[str, Any] | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of the catalogue as its shop describes it at `event_time_ms`; the newest wins."""

    item_id: Identifier
    title: str
    event_time_ms: EventTimeMs
    price: float | None = None
    description: str | None = None
