"""What is known of one user or item, read from the features. Every method blocks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ray_apps.serving.api import GeneratedItem, GeneratedOut, ItemOut, KnowledgeOut
from ray_apps.serving.request_errors import not_found
from reaseq.feature_views import GENERATED, ITEMS, KNOWLEDGE, POPULARITY, ViewSpec
from streams.feature_store.ports import FeatureTables

logger = logging.getLogger("ray.serve")


class Lookups:
    """Rows of the feature views as answers. What is not there raises `RequestError` (404)."""

    def __init__(self, features: FeatureTables) -> None:
        self._features = features

    def generated(self, user_id: str) -> GeneratedOut:
        """What the behaviour generator infers for a user, with provenance."""
        row = self._row(GENERATED, user_id)
        if row is None:
            raise not_found(f"nothing was generated for user {user_id} yet")
        catalogue = self._catalogue(row["item_ids"])
        items = [
            GeneratedItem(
                item_id=item_id,
                title=catalogue.get(item_id, {}).get("title"),
                probability=probability,
            )
            for item_id, probability in zip(row["item_ids"], row["probabilities"], strict=True)
        ]
        kept = {name: row[name] for name in GeneratedOut.model_fields if name in row}
        return GeneratedOut(**kept, items=items)

    def knowledge(self, item_id: str) -> KnowledgeOut:
        """What an agent says about an item, with provenance and verdict."""
        row = self._row(KNOWLEDGE, item_id)
        if row is None:
            raise not_found(f"there is no knowledge about item {item_id} yet")
        return KnowledgeOut(**row)

    def item(self, item_id: str) -> ItemOut:
        """What the catalogue knows of an item, and how often it was bought."""
        described = self._row(ITEMS, item_id)
        if described is None:
            raise not_found(f"no item {item_id} in the catalogue")
        sold = self._row(POPULARITY, item_id) or {"num_purchases": None, "num_buyers": None}
        known = {**described, **sold}
        return ItemOut(**{name: known[name] for name in ItemOut.model_fields})

    def described(self, item_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The catalogue's rows of these items, by id; none where it does not answer."""
        try:
            return self._catalogue(item_ids)
        except Exception:
            logger.exception("the catalogue cannot be read: answering without titles")
            return {}

    def _catalogue(self, item_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        rows = self._features.read(ITEMS, item_ids).to_pylist()
        return {row["item_id"]: row for row in rows}

    def _row(self, view: ViewSpec, key: str) -> dict[str, Any] | None:
        rows = self._features.read(view, [key]).to_pylist()
        return rows[0] if rows else None
