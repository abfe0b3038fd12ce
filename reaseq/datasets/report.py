"""What was taken for what, and what was left out: facts for a user, shown by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOut:
    """Rows, or values of a field, that were not used for one reason."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class Preview:
    """What the reader took for what, to be shown before anything is sent."""

    taken: Mapping[str, str]
    """Field → column or SQL expression."""

    taken_for_items: Mapping[str, str]
    """The same for the file of items; empty without one."""

    examples: tuple[Mapping[str, object], ...]
    """The first events by time, at most three, by column of EVENT_SCHEMA."""

    num_events: int
    num_items: int


@dataclass(frozen=True)
class ReadReport:
    """What did not become an event, and what looks odd in what did."""

    left_out: tuple[LeftOut, ...]
    """Rows that are not events."""

    without_value: tuple[LeftOut, ...]
    """Optional values of events and items that could not be read and are missing now."""

    notes: tuple[str, ...]
    """Sentences on encodings, shared ids and users with an unlikely share of the events."""
