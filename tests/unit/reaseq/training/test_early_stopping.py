"""`reaseq.training.early_stopping`."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch

from reaseq.training.early_stopping import EarlyStopping, split_newest
from reaseq.training.settings import FitSettings

PATIENT = FitSettings(early_stopping_patience=2, held_out_share=0.25)


def rows_at(*times_ms: int) -> pa.Table:
    return pa.table({"label_time_ms": pa.array(times_ms, pa.int64())})


def watch(stopping: EarlyStopping, *metrics: float) -> None:
    for metric in metrics:
        stopping.observe(metric, {"w": torch.tensor([metric])})


def test_patience_counts_epochs_since_the_best() -> None:
    """A new best starts the count anew; an equal one does not."""
    stopping = EarlyStopping(2)
    watch(stopping, 0.1, 0.05, 0.2, 0.2)
    assert not stopping.is_over
    watch(stopping, 0.1)
    assert stopping.is_over
    assert (stopping.best, stopping.weights["w"].item()) == (0.2, pytest.approx(0.2))


def test_the_best_weights_are_a_copy() -> None:
    """Training goes on with the tensors that were shown."""
    live = torch.zeros(1)
    stopping = EarlyStopping(1)
    stopping.observe(0.5, {"w": live})
    live.add_(1)
    assert stopping.weights["w"].item() == 0


def test_it_goes_on_from_its_state() -> None:
    """The count too."""
    stopping, resumed = EarlyStopping(2), EarlyStopping(2)
    watch(stopping, 0.5, 0.4)
    resumed.resume(stopping.state())
    watch(resumed, 0.3)
    assert resumed.is_over
    assert resumed.best == 0.5


def test_the_newest_rows_are_held_out() -> None:
    """A quarter of eight, wherever they stand."""
    kept, held_out = split_newest(rows_at(5, 8, 1, 2, 7, 3, 4, 6), PATIENT)
    assert held_out is not None
    assert sorted(held_out["label_time_ms"].to_pylist()) == [7, 8]
    assert kept["label_time_ms"].to_pylist() == [5, 1, 2, 3, 4, 6]


def test_rows_of_one_moment_stay_together() -> None:
    """Nothing is learnt from a moment that is held out."""
    kept, held_out = split_newest(rows_at(1, 2, 3, 3, 3, 9, 9, 9), PATIENT)
    assert held_out is not None
    assert set(held_out["label_time_ms"].to_pylist()) == {9}
    assert set(kept["label_time_ms"].to_pylist()) == {1, 2, 3}


def test_without_early_stopping_everything_is_learnt_from() -> None:
    """So figures made before it existed stay what they are."""
    rows = rows_at(1, 2, 3)
    assert split_newest(rows, FitSettings()) == (rows, None)


def test_rows_that_cannot_be_split_are_refused() -> None:
    """All of one moment: either side would be empty."""
    with pytest.raises(ValueError, match="too few"):
        split_newest(rows_at(4, 4, 4), PATIENT)
