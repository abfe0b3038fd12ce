"""`reaseq.evaluation.prequential`."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from reaseq.evaluation.prequential import PrequentialEvaluation
from reaseq.schemas import EVENT_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA
from reaseq.types import Float32s, Int64s

ITEMS = ["a", "b", "c", "d"]


class Fixed:
    """Gives every user the same scores and counts what it is told to learn."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, np.float32)
        self.num_observed = 0

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        return np.tile(self.scores, (sequences.num_rows, 1))

    def observe(self, events: pa.Table) -> None:
        self.num_observed += events.num_rows


class Unteachable:
    """A scorer without `observe`."""

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        return np.full((sequences.num_rows, len(ITEMS)), -np.inf, np.float32)


def sequence(user_id: str, item_ids: list[str], newest_ms: int) -> dict[str, object]:
    """One row of SEQUENCE_SCHEMA; all of its events are purchases at one time."""
    num = len(item_ids)
    return {
        "user_id": user_id,
        "item_ids": item_ids,
        "event_types": ["purchase"] * num,
        "event_times_ms": [newest_ms] * num,
        "event_values": [1.0] * num,
        "event_keys": list(range(num)),
        "newest_event_time_ms": newest_ms,
        "revision": num,
    }


def sequences(*rows: dict[str, object]) -> pa.Table:
    """A table of them."""
    return pa.Table.from_pylist(list(rows), schema=SEQUENCE_SCHEMA)


def orders(*rows: tuple[str, int, list[str]]) -> pa.Table:
    """A table of orders from (user, time, items)."""
    names = ORDER_SCHEMA.names
    records = [dict(zip(names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(records, schema=ORDER_SCHEMA)


def test_the_report_of_two_orders_by_hand() -> None:
    """Ranks 1 and 3 in one order, 2 in another, and a miss for an item outside the catalogue."""
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": Fixed([9, 7, 5, 1])}, k=2)
    evaluation.score(
        sequences(sequence("u", ["a"], 5), sequence("v", ["b"], 5)),
        orders(("u", 10, ["a", "c"]), ("v", 20, ["b", "new"])),
    )
    quality = evaluation.report()["fixed"]
    assert (quality.num_orders, quality.num_targets, quality.k) == (2, 4, 2)
    assert quality.hit_rate == pytest.approx(2 / 4)
    assert quality.ndcg == pytest.approx((1 + 1 / math.log2(3)) / 4)


def test_a_window_counts_only_its_own_orders() -> None:
    """The window takes its start and leaves out its end."""
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": Fixed([4, 3, 2, 1])}, k=1)
    for at_ms, item in [(10, "a"), (20, "b"), (30, "a")]:
        evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", at_ms, [item])))
    assert evaluation.report(20, 30)["fixed"].hit_rate == 0.0
    assert evaluation.report(20)["fixed"].hit_rate == 0.5
    assert evaluation.report(40)["fixed"].num_orders == 0
    assert math.isnan(evaluation.report(40)["fixed"].ndcg)


def test_users_without_a_sequence_are_left_out_and_counted() -> None:
    """A first order cannot be predicted from a sequence."""
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": Fixed([1, 2, 3, 4])})
    evaluation.score(
        sequences(sequence("new", [], 0), sequence("u", ["a"], 5)),
        orders(("new", 10, ["a"]), ("u", 10, ["b"])),
    )
    assert evaluation.num_skipped == 1
    assert evaluation.report()["fixed"].num_targets == 1


def test_learners_observe_and_others_need_not() -> None:
    """Events reach the scorers that learn online."""
    fixed = Fixed([1, 2, 3, 4])
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": fixed, "unteachable": Unteachable()})
    event = dict.fromkeys(EVENT_SCHEMA.names, "x") | {"event_time_ms": 1, "value": None}
    evaluation.observe(pa.Table.from_pylist([event], schema=EVENT_SCHEMA))
    assert fixed.num_observed == 1


def test_a_scorer_that_knows_nothing_hits_nothing() -> None:
    """All -inf is one big tie, and ties count against the scorer."""
    evaluation = PrequentialEvaluation(ITEMS, {"unteachable": Unteachable()}, k=3)
    evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", 10, ["b"])))
    assert evaluation.report()["unteachable"].hit_rate == 0.0


def test_a_promoted_scorer_continues_the_record() -> None:
    """After `replace` the new scorer's ranks follow the old one's under the same name."""
    evaluation = PrequentialEvaluation(ITEMS, {"ranker": Fixed([4, 3, 2, 1])}, k=1)
    evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", 10, ["d"])))
    evaluation.replace("ranker", Fixed([1, 2, 3, 4]))
    evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", 20, ["d"])))
    assert evaluation.report()["ranker"].hit_rate == 0.5
    with pytest.raises(ValueError, match="no scorer"):
        evaluation.replace("nobody", Unteachable())


def test_a_challenger_runs_along_from_where_it_is_added() -> None:
    """Its record starts empty, and a name is given only once."""
    evaluation = PrequentialEvaluation(ITEMS, {"champion": Fixed([4, 3, 2, 1])})
    evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", 10, ["d"])))
    evaluation.add("challenger", Fixed([1, 2, 3, 4]))
    evaluation.score(sequences(sequence("u", ["a"], 5)), orders(("u", 20, ["d"])))
    assert [quality.num_orders for quality in evaluation.report().values()] == [2, 1]
    with pytest.raises(ValueError, match="replace"):
        evaluation.add("champion", Unteachable())


def test_a_sequence_that_holds_the_future_is_refused() -> None:
    """An event at the order's own time may be the order itself."""
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": Fixed([1, 2, 3, 4])})
    with pytest.raises(ValueError, match="as of before"):
        evaluation.score(sequences(sequence("u", ["a"], 10)), orders(("u", 10, ["a"])))


def test_rows_of_different_users_are_refused() -> None:
    """Row i belongs to row i."""
    evaluation = PrequentialEvaluation(ITEMS, {"fixed": Fixed([1, 2, 3, 4])})
    with pytest.raises(ValueError, match="row i"):
        evaluation.score(sequences(sequence("v", ["a"], 5)), orders(("u", 10, ["a"])))
