"""Prequential evaluation: score first, then learn, in the order in which things happened.

Every scorer ranks the whole catalogue for an order before the order is applied to anything, so an
online learner (popularity) is as fresh as it would be in production, and nothing is excluded: an
item that the user has bought before is a legitimate target, because people buy again.
(Dawid, "Present position and potential developments: the prequential approach", 1984.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.evaluation.bootstrap import Interval, Resampled, resample
from reaseq.evaluation.metrics import gains_at, hit_rate_at, hits_at, ndcg_at, pessimistic_ranks
from reaseq.types import Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary


class Scorer(Protocol):
    """Ranks the whole catalogue for users."""

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """Scores [B, num_items], higher is better, columns in the evaluation's item order.

        `sequences` has B rows of SEQUENCE_SCHEMA, `at_ms` [B] is the moment of each ranking. An
        item that the scorer does not know gets -inf. NaN is an error.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A scorer that learns online."""

    def observe(self, events: pa.Table) -> None:
        """Learn from events (EVENT_SCHEMA) that have just been applied."""
        ...


@dataclass(frozen=True)
class Quality:
    """What a scorer reached; the means are over targets. NaN where there was none."""

    hit_rate: float
    ndcg: float
    k: int
    num_orders: int
    num_targets: int


@dataclass(frozen=True)
class Estimate:
    """Quality with its bootstrap intervals, or the paired difference of two qualities."""

    hit_rate: Interval
    ndcg: Interval


class PrequentialEvaluation:
    """Scores orders in time order and keeps every rank.

    The driver's loop, for each order or for a block of orders that no event separates:
    `score(sequences, orders)`, then apply the events, then `observe(events)`. Ranks belong to the
    scorer's name: after `replace` the new scorer continues the record of the old one.
    """

    def __init__(self, item_ids: Sequence[str], scorers: Mapping[str, Scorer], k: int = 20) -> None:
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        self.items = ItemVocabulary(item_ids)
        self.k = k
        self.num_skipped = 0
        """Orders left out because their user had no sequence yet."""
        self._scorers = dict(scorers)
        self._records = {name: _Record() for name in scorers}
        self._users: dict[str, int] = {}

    def score(self, sequences: pa.Table, orders: pa.Table) -> None:
        """Rank the catalogue for each order with every scorer and note the ranks of its items.

        Row i of `sequences` (SEQUENCE_SCHEMA) is the sequence of row i of `orders` (ORDER_SCHEMA)
        as it was strictly before the order; orders whose sequence is empty are left out. All
        orders of one call are ranked before any of them is learnt from.

        Raises ValueError when the rows do not belong together or a sequence holds the future.
        """
        _check_rows(sequences, orders)
        known = pc.greater(pc.list_value_length(sequences["item_ids"]), 0)
        self.num_skipped += orders.num_rows - (pc.sum(known).as_py() or 0)
        sequences, orders = sequences.filter(known), orders.filter(known)
        if not orders.num_rows:
            return
        at_ms = orders["label_time_ms"].to_numpy()
        rows = np.asarray(pc.list_parent_indices(orders["label_item_ids"]).to_numpy(), np.int64)
        columns = self.items.encode(pc.list_flatten(orders["label_item_ids"])) - 1
        users = np.array([self._number_of(u) for u in orders["user_id"].to_pylist()], np.int64)
        for name, scorer in self._scorers.items():
            scores = scorer.score(sequences, at_ms)
            if scores.shape != (orders.num_rows, len(self.items)):
                raise ValueError(f"scorer {name!r} gave {scores.shape}, not [orders, items]")
            ranks = pessimistic_ranks(scores, rows, columns)
            self._records[name].add(at_ms, users, rows, ranks)

    def observe(self, events: pa.Table) -> None:
        """Forward applied events to the scorers that learn online.

        The events of one order must come in one call.
        """
        for scorer in self._scorers.values():
            if isinstance(scorer, Learner):
                scorer.observe(events)

    def add(self, name: str, scorer: Scorer) -> None:
        """Let another scorer, a challenger say, run along from here on."""
        if name in self._records:
            raise ValueError(f"there is a scorer {name!r} already; use replace()")
        self._scorers[name], self._records[name] = scorer, _Record()

    def replace(self, name: str, scorer: Scorer) -> None:
        """Put a new scorer in the place of `name`: what a promotion does."""
        if name not in self._scorers:
            raise ValueError(f"no scorer {name!r}; there are {sorted(self._scorers)}")
        self._scorers[name] = scorer

    def report(self, start_ms: int | None = None, end_ms: int | None = None) -> dict[str, Quality]:
        """The quality of every scorer over the orders with `start_ms <= time < end_ms`."""
        return {
            name: record.quality(self.k, start_ms, end_ms) for name, record in self._records.items()
        }

    def estimates(self) -> dict[str, Estimate]:
        """The quality of every scorer over all orders, with bootstrap intervals by user."""
        return {name: _estimate(*r.resampled(self.k)) for name, r in self._records.items()}

    def differences(self, base: str) -> dict[str, Estimate]:
        """How much better each scorer is than `base` on the same orders, with paired intervals.

        Raises ValueError for a scorer that joined later and so has seen other orders.
        """
        hits, gains = self._records[base].resampled(self.k)
        found = {}
        for name, record in self._records.items():
            if record.num_orders != self._records[base].num_orders:
                raise ValueError(f"{name!r} and {base!r} have not scored the same orders")
            of_hits, of_gains = record.resampled(self.k)
            found[name] = _estimate(of_hits.minus(hits), of_gains.minus(gains))
        return found

    def _number_of(self, user_id: str) -> int:
        return self._users.setdefault(user_id, len(self._users))


class _Record:
    """Every rank that one scorer gave: one entry a target."""

    def __init__(self) -> None:
        self._times_ms: list[Int64s] = []
        self._orders: list[Int64s] = []
        self._ranks: list[Int64s] = []
        self._users: list[Int64s] = []
        self.num_orders = 0

    def add(self, at_ms: Int64s, users: Int64s, rows: Int64s, ranks: Int64s) -> None:
        self._times_ms.append(at_ms[rows])
        self._users.append(users[rows])
        self._orders.append(rows + self.num_orders)
        self._ranks.append(ranks)
        self.num_orders += len(at_ms)

    def resampled(self, k: int) -> tuple[Resampled, Resampled]:
        """Hit rate and NDCG over all targets, resampled by user."""
        nothing = np.zeros(0, np.int64)
        ranks = np.concatenate([nothing, *self._ranks])
        users = np.concatenate([nothing, *self._users])
        return resample(hits_at(ranks, k), users), resample(gains_at(ranks, k), users)

    def quality(self, k: int, start_ms: int | None, end_ms: int | None) -> Quality:
        nothing = np.zeros(0, np.int64)
        times_ms = np.concatenate([nothing, *self._times_ms])
        inside = np.ones(len(times_ms), bool)
        if start_ms is not None:
            inside &= times_ms >= start_ms
        if end_ms is not None:
            inside &= times_ms < end_ms
        ranks = np.concatenate([nothing, *self._ranks])[inside]
        orders = np.concatenate([nothing, *self._orders])[inside]
        num_orders = len(np.unique(orders))
        return Quality(hit_rate_at(ranks, k), ndcg_at(ranks, k), k, num_orders, len(ranks))


def _estimate(hits: Resampled, gains: Resampled) -> Estimate:
    return Estimate(hits.interval(), gains.interval())


def _check_rows(sequences: pa.Table, orders: pa.Table) -> None:
    if sequences.num_rows != orders.num_rows or not sequences["user_id"].equals(orders["user_id"]):
        raise ValueError("row i of sequences must be the sequence of row i of orders")
    length = pc.list_value_length(sequences["item_ids"])
    late = pc.greater_equal(sequences["newest_event_time_ms"], orders["label_time_ms"])
    if pc.any(pc.and_(late, pc.greater(length, 0))).as_py():
        raise ValueError("a sequence holds events at or after its order: take it as of before")
