"""The text an item is represented by: what its shop says, and what agents say about it."""

from __future__ import annotations


def item_text(
    item_id: str, title: str, description: str | None = None, knowledge: str | None = None
) -> str:
    """One text for the encoder; an item nobody described is its id."""
    described = ". ".join(filter(None, (title.strip(), (description or "").strip()))) or item_id
    return f"{described}. {knowledge}" if knowledge else described
