"""The point-in-time join on columns: for each question (key, time), the row that was true then.

Kept free of Feast and files so that a test can compare it with a brute-force search.
"""

from __future__ import annotations

import numpy as np

from reaseq.types import Int64s


def rows_as_of(
    keys: Int64s,
    times: Int64s,
    created: Int64s,
    asked_keys: Int64s,
    asked_times: Int64s,
    *,
    max_age: int = 0,
) -> Int64s:
    """The index of the row that each question finds, or -1.

    A question finds, among the rows of its key with `time <= asked time`, the one with the greatest
    `(time, created)`; of equal ones the last given. With `max_age` above zero a row older than that
    is not found. Times are integers of one unit. One sort of all rows and questions together:
    O((n + m) log (n + m)), whatever the number of keys.
    """
    num_rows, num_asked = len(keys), len(asked_keys)
    is_asked = np.repeat([0, 1], [num_rows, num_asked])
    all_keys = np.concatenate([keys, asked_keys])
    all_times = np.concatenate([times, asked_times])
    all_created = np.concatenate([created, np.zeros(num_asked, np.int64)])
    # At an equal time the rows come first: a question sees them. `lexsort` is stable.
    order = np.lexsort((all_created, is_asked, all_times, all_keys))
    latest = np.maximum.accumulate(np.where(order < num_rows, np.arange(len(order)), -1))
    asked = np.flatnonzero(order >= num_rows)
    found = np.where(latest[asked] >= 0, order[latest[asked]], -1)
    rows = np.full(num_asked, -1, np.int64)
    rows[order[asked] - num_rows] = found
    if num_rows == 0:
        return rows
    is_true = (rows >= 0) & (keys[rows] == asked_keys)
    if max_age > 0:
        is_true &= asked_times - times[rows] <= max_age
    return np.where(is_true, rows, -1)
