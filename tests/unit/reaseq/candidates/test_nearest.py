"""`reaseq.candidates.nearest`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reaseq.candidates.nearest import NearestItems
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c", "d"])
VECTORS = np.array([[2, 0], [3, 1], [0, 5], [-1, 0]], np.float32)


def sequence(item_ids: list[str]) -> pa.Table:
    """One row of SEQUENCE_SCHEMA."""
    num = len(item_ids)
    row = {
        "user_id": "u",
        "item_ids": item_ids,
        "event_types": ["view"] * num,
        "event_times_ms": [1] * num,
        "event_values": [1.0] * num,
        "event_keys": list(range(num)),
        "newest_event_time_ms": 1,
        "revision": num,
    }
    return pa.Table.from_pylist([row], schema=SEQUENCE_SCHEMA)


def test_candidates_are_the_most_similar_without_the_item_itself() -> None:
    """a points along b, stands upright on c, and opposite to d: only b is like a."""
    found = NearestItems(ITEMS, VECTORS).candidates(sequence(["a"]), 3)
    assert (found.source, found.codes.tolist()) == ("similar", [2])
    assert found.scores[0] == pytest.approx(3 / np.sqrt(10))


def test_only_the_newest_distinct_items_count() -> None:
    """With room for one, the newest decides, however often the older one occurs."""
    nearest = NearestItems(ITEMS, VECTORS, num_recent=1)
    found = nearest.candidates(sequence(["c", "c", "a"]), 3)
    assert found.codes.tolist() == [2]


def test_a_sequence_of_unknown_items_draws_nothing() -> None:
    """There is nothing to be like."""
    nearest = NearestItems(ITEMS, VECTORS)
    assert nearest.candidates(sequence(["unknown"]), 3).codes.tolist() == []
    assert nearest.candidates(sequence([]), 3).codes.tolist() == []


def test_saving_and_loading_keeps_the_candidates(tmp_path: Path) -> None:
    """A loaded index answers alike."""
    nearest = NearestItems(ITEMS, VECTORS, num_recent=2)
    nearest.save(tmp_path)
    loaded = NearestItems.load(tmp_path, ITEMS)
    asked = sequence(["a", "b", "c"]), np.zeros(1, np.int64)
    np.testing.assert_allclose(loaded.score(*asked), nearest.score(*asked), rtol=1e-6)


def test_a_missing_representation_is_refused() -> None:
    """Rows and items must correspond."""
    with pytest.raises(ValueError, match="4 items"):
        NearestItems(ITEMS, VECTORS[:3])


def test_the_item_most_like_a_vector_is_one_of_those_asked_for() -> None:
    """Ids that are unknown are passed over."""
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], np.float32)
    nearest = NearestItems(ItemVocabulary(["a", "b", "c"]), vectors)
    east = np.array([1.0, 0.0], np.float32)
    assert nearest.most_like(east, ["a", "b", "c"]) == "a"
    assert nearest.most_like(east, ["unknown", "c", "b"]) == "b"
