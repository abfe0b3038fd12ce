"""A slate: what one request is answered with, where it is shown, and what was missing."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

UNKNOWN_USER = "unknown_user"
"""Fallback: no event of a known item by this user, so popular items."""
NO_RANKER = "no_ranker"
"""Fallback: no model, so popular items."""
NO_ORDER = "no_order"
"""Fallback in `post_buy`: the user has bought nothing yet, so candidates as for `guess`."""

NO_GENERATED = "no_generated"
"""Missing: the ranker reads generated behaviours and there are none for this user (yet)."""

NEW = "new"
"""The source of an item that arrived after the model was trained."""


class Scene(StrEnum):
    """Where the slate is shown."""

    GUESS = "guess"
    """The home page: what might this user want now? Things bought before may come again."""
    POST_BUY = "post_buy"
    """After a purchase: what goes with the newest order? Its own items are left out."""


class SlateItem(NamedTuple):
    """One item of a slate."""

    item_id: str
    score: float
    """The ranker's logit; the popularity where that was the fallback; for a new item how similar it
    is to what the user has."""
    sources: tuple[str, ...]
    """The candidate sources that proposed it: the reason it is here."""


class Slate(NamedTuple):
    """What one request is answered with, best item first."""

    items: tuple[SlateItem, ...]
    scene: Scene
    model_version: str | None
    """None where no model took part."""
    fallbacks: tuple[str, ...]
    """Empty when everything went as it should."""
