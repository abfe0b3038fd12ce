"""A process among those that train one model together, each on its part of the rows.

The loop knows no framework: what moves gradients between the processes comes in as functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import pyarrow as pa
from torch import nn

from reaseq.training.settings import FitSettings

SettingsT = TypeVar("SettingsT", bound=FitSettings)


@dataclass(frozen=True)
class WorkerRank:
    """Which of how many workers this one is."""

    index: int = 0
    num_workers: int = 1

    def rows_of(self, rows: pa.Table) -> pa.Table:
        """Every `num_workers`-th row, so that each worker sees all of the time there is."""
        return rows.take(pa.array(range(self.index, rows.num_rows, self.num_workers), pa.int64()))

    def batch_size_of(self, batch_size: int) -> int:
        """The batch size is that of all workers together: their number does not change the model"""
        return max(1, batch_size // self.num_workers)

    def num_steps(self, num_rows: int, batch_size: int) -> int:
        """Steps an epoch on `num_rows` of all workers, `batch_size` of this one; alike for all."""
        return math.ceil(math.ceil(num_rows / self.num_workers) / batch_size)


class Worker(NamedTuple):
    """This process: its rank, its steps, and what it has in common with the others."""

    rank: WorkerRank = WorkerRank()
    num_steps: int | None = None
    """Steps an epoch, the same for all workers or they wait for each other for ever; None: as many
    as the data has batches."""
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model
    """For example `ray.train.torch.prepare_model`: must return a module with the same forward."""
    agree: Callable[[float], float] = lambda value: value
    """The first worker's value, for all of them: who decides by it decides like the others."""

    def share(self, rows: pa.Table, settings: SettingsT) -> tuple[pa.Table, SettingsT, Worker]:
        """Its part of `rows`, the settings and the worker for a fit on this part."""
        batch_size = self.rank.batch_size_of(settings.batch_size)
        num_steps = self.rank.num_steps(rows.num_rows, batch_size)
        part = settings.model_copy(update={"batch_size": batch_size})
        return self.rank.rows_of(rows), part, self._replace(num_steps=num_steps)
