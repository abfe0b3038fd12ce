"""The record at the edge: what an event must have, and which limits keep nonsense out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reaseq.events import MAX_EVENT_TIME_MS, MAX_ID_LENGTH, Event, EventType, Item
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "ann",
    "item_id": "mug",
    "event_type": "view",
    "event_time_ms": 0,
}


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id"])
@pytest.mark.parametrize("length", [1, MAX_ID_LENGTH])
def test_an_identifier_up_to_the_limit_is_taken(field: str, length: int) -> None:
    """Length counts characters, so an id in any script has the same room."""
    event = msgspec.convert({**EVENT, field: "ü" * length}, Event)
    assert getattr(event, field) == "ü" * length


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id"])
@pytest.mark.parametrize("value", ["", "x" * (MAX_ID_LENGTH + 1), 17850, None])
def test_another_identifier_is_refused_by_the_fields_name(field: str, value: object) -> None:
    """Empty, too long, a number or nothing."""
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({**EVENT, field: value}, Event)


@pytest.mark.parametrize("kind", [Event, Item])
@pytest.mark.parametrize("time_ms", [0, MAX_EVENT_TIME_MS - 1])
def test_a_time_from_1970_to_2100_is_taken(kind: type[Event] | type[Item], time_ms: int) -> None:
    """The edges of the range, for events and items alike."""
    record = {**EVENT, "title": "Mug", "event_time_ms": time_ms}
    assert msgspec.convert(record, kind).event_time_ms == time_ms


@pytest.mark.parametrize("kind", [Event, Item])
@pytest.mark.parametrize("time_ms", [-1, MAX_EVENT_TIME_MS, 1.5, "1970-01-01"])
def test_another_time_is_refused(kind: type[Event] | type[Item], time_ms: object) -> None:
    """Negative, a wrong unit, no whole number, no number."""
    with pytest.raises(msgspec.ValidationError, match="event_time_ms"):
        msgspec.convert({**EVENT, "title": "Mug", "event_time_ms": time_ms}, kind)


@pytest.mark.parametrize("missing", list(EVENT))
def test_every_required_field_is_missed_by_name(missing: str) -> None:
    """Only value and context may be left out."""
    partial = {name: value for name, value in EVENT.items() if name != missing}
    with pytest.raises(msgspec.ValidationError, match=missing):
        msgspec.convert(partial, Event)


def test_event_types_keep_their_order() -> None:
    """Their places are codes inside checkpoints: a new type goes to the end."""
    assert [str(t) for t in EventType][:5] == ["view", "click", "cart", "purchase", "return"]


def test_records_and_tables_name_the_same_columns() -> None:
    """A column of the schema is a field of the record; only `context` stays out of the table."""
    event_fields = {field.name for field in msgspec.structs.fields(Event)}
    assert event_fields == {*EVENT_SCHEMA.names, "context"}
    assert {field.name for field in msgspec.structs.fields(Item)} == set(ITEM_SCHEMA.names)


def test_an_event_cannot_be_changed() -> None:
    """Events are facts."""
    event = msgspec.convert(EVENT, Event)
    with pytest.raises(AttributeError):
        event.user_id = "bob"  # type: ignore[misc]
