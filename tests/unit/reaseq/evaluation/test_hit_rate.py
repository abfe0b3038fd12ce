"""How much of what no log held was generated before it was bought."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.evaluation.hit_rate import best_unlogged, beyond_log_hit_rate
from reaseq.schemas import TRAINING_SCHEMA
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c", "d"])


def rows(*orders: tuple[str, list[str] | None, list[str]]) -> pa.Table:
    """(user, log, bought) each."""
    made = [
        {
            "user_id": user,
            "item_ids": log,
            "event_types": log and ["view"] * len(log),
            "event_times_ms": log and [1] * len(log),
            "event_values": log and [1.0] * len(log),
            "event_keys": log and list(range(len(log))),
            "newest_event_time_ms": 1,
            "revision": 1,
            "label_time_ms": 2,
            "label_item_ids": bought,
        }
        for user, log, bought in orders
    ]
    return pa.Table.from_pylist(made, schema=TRAINING_SCHEMA)


def answers(*made: tuple[str, list[str]]) -> pa.Table:
    """(user, generated items) each."""
    users, items = [user for user, _ in made], [generated for _, generated in made]
    return pa.table({"user_id": users, "item_ids": pa.array(items, pa.list_(pa.string()))})


def test_the_example_of_the_docstring() -> None:
    """Log {a}, bought {a, b, c}, generated [b, d]: one of two targets."""
    reached = beyond_log_hit_rate(answers(("u", ["b", "d"])), rows(("u", ["a"], ["a", "b", "c"])))
    assert reached == (0.5, 1, 2)


def test_hits_are_summed_over_orders_not_averaged() -> None:
    """A large order counts for more than a small one."""
    reached = beyond_log_hit_rate(
        answers(("u", ["b"]), ("v", ["b"])),
        rows(("u", ["a"], ["b"]), ("v", ["a"], ["b", "c", "d"])),
    )
    assert reached == (0.5, 2, 4)


def test_users_without_a_log_and_orders_without_a_target_are_left_out() -> None:
    """Nothing can be generated for the first; a join gives null or empty lists for them."""
    reached = beyond_log_hit_rate(
        answers(("u", []), ("v", []), ("w", ["b"])),
        rows(("u", None, ["b"]), ("v", [], ["b"]), ("w", ["a"], ["a"])),
    )
    assert math.isnan(reached.hit_rate)
    assert (reached.num_orders, reached.num_targets) == (0, 0)


def test_rows_of_other_users_are_refused() -> None:
    """A hit rate of rows that do not belong together would look like any other."""
    with pytest.raises(ValueError, match="row i"):
        beyond_log_hit_rate(answers(("u", [])), rows(("v", ["a"], ["b"])))


class Fixed:
    """A scorer that scores items a, b, c, d by a table."""

    item_ids = ("a", "b", "c", "d")

    def __init__(self, *scores: list[float]) -> None:
        self._scores = np.array(scores, np.float32)

    def score(self, rows: pa.Table, at_ms: Int64s) -> Float32s:
        return self._scores


def test_the_best_unlogged_of_a_scorer_by_hand() -> None:
    """Without what the log holds; equal scores in the order of the vocabulary."""
    scorer = Fixed([4, 3, 2, 1], [1, 1, 1, 1])
    found = best_unlogged(scorer, rows(("u", ["a", "c"], ["b"]), ("v", [], ["b"])), ITEMS, 3)
    assert found["user_id"].to_pylist() == ["u", "v"]
    assert found["item_ids"].to_pylist() == [["b", "d"], ["a", "b", "c"]]


def test_the_scorer_keeps_its_scores() -> None:
    """Masking what is logged happens on a copy."""
    scorer = Fixed([4, 3, 2, 1])
    best_unlogged(scorer, rows(("u", ["a"], ["b"])), ITEMS, 3)
    assert scorer._scores.tolist() == [[4, 3, 2, 1]]


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.lists(st.sampled_from(["a", "b", "c", "d", "strange"]), max_size=4, unique=True),
    st.integers(0, 5),
)
def test_answers_hold_no_logged_item_and_at_most_what_is_left(
    scores: list[float], log: list[str], num: int
) -> None:
    """So that a scorer and a generator are compared on the same task."""
    [found] = best_unlogged(Fixed(scores), rows(("u", log, ["a"])), ITEMS, num)[
        "item_ids"
    ].to_pylist()
    left = {"a", "b", "c", "d"} - set(log)
    assert set(found) <= left
    assert len(found) == min(num, len(left))
