"""The join finds what was true then, and nothing from the future."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.offline.point_in_time import Int64s, rows_as_of

KEY, TIME, CREATED = st.integers(0, 3), st.integers(-3, 8), st.integers(-3, 8)
ROWS = st.lists(st.tuples(KEY, TIME, CREATED), max_size=30)
QUESTIONS = st.lists(st.tuples(KEY, TIME), max_size=20)


@given(ROWS, QUESTIONS, st.integers(0, 4))
def test_the_join_is_a_search_through_all_rows(
    rows: list[tuple[int, int, int]], questions: list[tuple[int, int]], max_age: int
) -> None:
    """Each question finds what a brute-force search finds, equal questions included."""
    expected = [search(rows, key, time, max_age) for key, time in questions]
    found = rows_as_of(*columns(rows, 3), *columns(questions, 2), max_age=max_age)
    assert found.tolist() == expected


@given(ROWS, QUESTIONS)
def test_later_rows_change_nothing(
    rows: list[tuple[int, int, int]], questions: list[tuple[int, int]]
) -> None:
    """Rows from after every question leave the answers as they are."""
    future = [(key, 9, 0) for key in range(4)]
    asked = columns(questions, 2)
    with_future = rows_as_of(*columns(rows + future, 3), *asked)
    assert with_future.tolist() == rows_as_of(*columns(rows, 3), *asked).tolist()


def search(rows: list[tuple[int, int, int]], key: int, time: int, max_age: int) -> int:
    found = -1
    for index, (row_key, row_time, created) in enumerate(rows):
        if row_key != key or row_time > time:
            continue
        if found < 0 or (row_time, created) >= rows[found][1:]:
            found = index
    too_old = found >= 0 and max_age > 0 and time - rows[found][1] > max_age
    return -1 if too_old else found


def columns(rows: Sequence[tuple[int, ...]], width: int) -> list[Int64s]:
    return list(np.array(rows, np.int64).reshape(-1, width).T)
