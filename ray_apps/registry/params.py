"""Settings as MLflow's parameters: flat, as text, and a hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAMS = 100
"""MLflow takes no more at a time."""


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, object]) -> None:
    """Add parameters to a run."""
    from mlflow.entities import Param

    all_params = [Param(name, str(value)) for name, value in flat(params)]
    for start in range(0, len(all_params), MAX_PARAMS):
        client.log_batch(run_id, params=all_params[start : start + MAX_PARAMS])


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested values with dots in their names: `fit.epochs` of {"fit": {"epochs": 3}}."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
