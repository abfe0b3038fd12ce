"""`reaseq.candidates.new_items`."""

from __future__ import annotations

import numpy as np
import pytest

from reaseq.candidates.new_items import NewItems

RECENT = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)


def test_the_most_similar_come_first() -> None:
    """By cosine to the most similar recent item, none below the limit."""
    items = NewItems()
    items.put({name: np.array(v, np.float32) for name, v in {"x": [2, 1], "y": [0, 9]}.items()})
    items.put({"z": np.array([-1, -1], np.float32)})
    found = items.most_similar(RECENT, 5, 0.5)
    assert [f.item_id for f in found] == ["y", "x"]
    assert [f.similarity for f in found] == pytest.approx([1.0, 2 / 5**0.5])
    assert items.most_similar(RECENT, 1, 0.5) == found[:1]


def test_a_vector_is_replaced_when_more_is_known() -> None:
    """The same item, moved."""
    items = NewItems()
    items.put({"x": np.array([-1, 0], np.float32)})
    assert items.most_similar(RECENT, 1, 0.5) == []
    items.put({"x": np.array([1, 0], np.float32)})
    assert len(items) == 1
    assert items.most_similar(RECENT, 1, 0.5)[0].similarity == pytest.approx(1.0)


def test_without_items_or_history_there_is_nothing_to_show() -> None:
    """No error: the slate goes on without."""
    items = NewItems()
    assert items.most_similar(RECENT, 3, 0.0) == []
    items.put({"x": np.ones(2, np.float32)})
    assert items.most_similar(RECENT[:0], 3, 0.0) == []
