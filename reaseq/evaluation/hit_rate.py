"""How much of what users bought later, and no log held, was generated before.

Beyond the log everything is new to the user, so the floor to compare with is not chance but what
everybody buys: `best_unlogged` makes answers of the same form out of any scorer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from reaseq.evaluation.prequential import Scorer
from reaseq.vocabulary import ItemVocabulary


class BeyondLog(NamedTuple):
    """What a table of generated behaviours reached on orders."""

    hit_rate: float
    """The share of the targets that was generated; NaN without targets."""
    num_orders: int
    """Orders of a user with a sequence that hold a target."""
    num_targets: int


def beyond_log_hit_rate(generated: pa.Table, rows: pa.Table) -> BeyondLog:
    """The share of targets among the items generated before their order.

        HR = sum over orders of |targets & generated| / sum over orders of |targets|

    The targets of an order are its items that the sequence just before it does not hold. Row i of
    `generated` (columns user_id, item_ids) was generated from the sequence in row i of `rows`
    (TRAINING_SCHEMA). Users without a sequence are left out: nothing can be generated for them.

    Example: a user with the log {a} buys {a, b, c}; generated is [b, d]. The targets are {b, c},
    and the hit rate is 1/2.

    Raises ValueError when the rows do not belong together.
    """
    if generated["user_id"].to_pylist() != rows["user_id"].to_pylist():
        raise ValueError("row i of generated must be made from row i of rows")
    hits = num_orders = num_targets = 0
    for given, logged, bought in zip(
        generated["item_ids"].to_pylist(),
        rows["item_ids"].to_pylist(),
        rows["label_item_ids"].to_pylist(),
        strict=True,
    ):
        targets = set(bought) - set(logged or ())
        if logged and targets:
            hits += len(targets & set(given))
            num_targets += len(targets)
            num_orders += 1
    return BeyondLog(hits / num_targets if num_targets else float("nan"), num_orders, num_targets)


def best_unlogged(scorer: Scorer, rows: pa.Table, vocabulary: ItemVocabulary, num: int) -> pa.Table:
    """The `num` best items of a scorer that a row's sequence does not hold: user_id, item_ids.

    `rows` are TRAINING_SCHEMA, each ranked as of its order; the scorer's columns are `vocabulary`.
    """
    scores_BN = np.array(scorer.score(rows, rows["label_time_ms"].to_numpy()))
    best: list[list[str]] = []
    for scores_N, logged in zip(scores_BN, rows["item_ids"].to_pylist(), strict=True):
        codes = vocabulary.encode(list(logged or ()))
        scores_N[codes[codes > 0] - 1] = -np.inf
        order = np.argsort(-scores_N, kind="stable")[:num]
        best.append(vocabulary.decode(order[np.isfinite(scores_N[order])] + 1))
    return pa.table({"user_id": rows["user_id"], "item_ids": pa.array(best, pa.list_(pa.string()))})
