"""What goes over HTTP: request and response bodies, the source of the OpenAPI page."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from reaseq.events import MAX_EVENT_TIME_MS, MAX_ID_LENGTH, Event, EventType

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]

MAX_EVENTS_PER_REQUEST = 1000


class EventIn(BaseModel):
    """One thing a user did. Without an id one is made; without a time it is now."""

    model_config = ConfigDict(extra="forbid")

    user_id: Identifier
    item_id: Identifier
    event_type: EventType
    event_id: Identifier = Field(default_factory=lambda: uuid.uuid4().hex)
    event_time_ms: Annotated[int, Field(ge=0, lt=MAX_EVENT_TIME_MS)] = Field(
        default_factory=lambda: time.time_ns() // 1_000_000
    )
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    context: dict[str, Any] | None = None

    def to_event(self) -> Event:
        """The event as it goes into the log."""
        return Event(**self.model_dump())


class EventsAccepted(BaseModel):
    """The log has the events; the features follow within milliseconds."""

    event_ids: list[str]


class RecommendedItem(BaseModel):
    """One place of a slate."""

    item_id: str
    title: str | None = Field(description="None when the catalogue does not know the item.")
    price: float | None
    score: float = Field(description="Orders this slate; not comparable between slates.")
    sources: list[str] = Field(description="Why it was considered: the candidate sources.")


class Recommendations(BaseModel):
    """A slate for one user, with what made it."""

    user_id: str
    scene: str
    items: list[RecommendedItem]
    known_user: bool
    model_version: str | None
    fallbacks: list[str] = Field(
        description="What was missing, e.g. unknown_user or no_ranker; empty when all was there."
    )
    sequence_events: int = Field(description="How many events of the user the ranking could see.")
    newest_event_time_ms: int | None
    impression_id: str


class ItemOut(BaseModel):
    """An item of the catalogue."""

    item_id: str
    title: str
    price: float | None
    description: str | None
    num_purchases: int | None = Field(description="As of the last training; None if unknown then.")
    num_buyers: int | None


class GeneratedItem(BaseModel):
    """A generated behaviour: no event, and never part of the log."""

    item_id: str
    title: str | None
    probability: float


class GeneratedOut(BaseModel):
    """What was generated for a user, most probable first, and its provenance."""

    user_id: str
    items: list[GeneratedItem]
    model_version: str
    generated_at_ms: int
    newest_event_time_ms: int = Field(description="Of the sequence it was generated for.")
    revision: int = Field(description="Of the sequence it was generated for.")
    partition: int = Field(description="Of the event topic; -1 where it did not come from the log.")
    next_offset: int = Field(description="All the user's events before it were taken in.")


class KnowledgeOut(BaseModel):
    """A knowledge card: what an item is, who needs it, when, where, why, with what."""

    item_id: str
    what: str
    who: str
    when: str
    where: str
    why: str
    with_what: str
    verdict: str
    reason: str | None
    model: str
    prompt_version: str
    content_hash: str
    num_prompt_tokens: int
    num_tokens: int
    duration_s: float
    event_time_ms: int = Field(description="When it was made.")


class Health(BaseModel):
    """Whether the application can answer, with which models, and what is missing."""

    status: str
    model_version: str | None
    generator_version: str | None
    knowledge_model: str | None
    fallbacks: list[str]
