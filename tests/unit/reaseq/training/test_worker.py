"""`reaseq.training.worker`."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.training.settings import FitSettings
from reaseq.training.worker import Worker, WorkerRank

ROWS = pa.table({"row": list(range(10))})


@given(st.integers(0, 40), st.integers(1, 6))
def test_the_workers_share_all_rows(num_rows: int, num_workers: int) -> None:
    """Every row goes to one worker, and no worker has two more than another."""
    rows = pa.table({"row": pa.array(range(num_rows), pa.int64())})
    parts = [
        WorkerRank(i, num_workers).rows_of(rows)["row"].to_pylist() for i in range(num_workers)
    ]
    assert sorted(row for part in parts for row in part) == list(range(num_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 500), st.integers(1, 6), st.integers(1, 64))
def test_the_steps_are_enough_for_every_worker(
    num_rows: int, num_workers: int, batch_size: int
) -> None:
    """All make as many as the worker with the most rows needs."""
    rank = WorkerRank(0, num_workers)
    most = len(range(0, num_rows, num_workers))
    steps = rank.num_steps(num_rows, batch_size)
    assert (steps - 1) * batch_size < most <= steps * batch_size


def test_a_share_is_a_fit_of_its_own() -> None:
    """The second of two: every other row, half the batch, the steps of all."""
    worker = Worker(WorkerRank(1, 2))
    rows, settings, own = worker.share(ROWS, FitSettings(batch_size=4))
    assert rows["row"].to_pylist() == [1, 3, 5, 7, 9]
    assert (settings.batch_size, own.num_steps, own.rank) == (2, 3, worker.rank)


def test_one_worker_has_everything() -> None:
    """As if nobody had been asked to share."""
    rows, settings, own = Worker().share(ROWS, FitSettings(batch_size=4))
    assert (rows.num_rows, settings.batch_size, own.num_steps) == (10, 4, 3)


def test_a_batch_never_shrinks_to_nothing() -> None:
    """With more workers than rows in a batch each takes one."""
    assert WorkerRank(0, 8).batch_size_of(4) == 1
