"""The history of champions: one MLflow run per promotion, below the run that trained the version.

Runs are only ever added, so two that promote at the same time lose nothing, and MLflow's pages and
API show when each version took over and why.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ray_apps.registry.connection import KIND_TAG, Connection

if TYPE_CHECKING:
    from mlflow.entities import Run

MAX_REASON_CHARS = 5000
"""What a tag holds on any MLflow server."""


class Promotion(NamedTuple):
    """One change of the champion."""

    version: str
    at: datetime
    reason: str
    is_rollback: bool
    previous: str | None = None
    """The champion before; None for the first."""


def record_promotion(connection: Connection, promotion: Promotion, training_run_id: str) -> None:
    """Append to the history. All of it is in tags, for a run and its tags are made in one step."""
    at_ms = _after_newest(connection, int(promotion.at.timestamp() * 1000))
    what = "rollback to" if promotion.is_rollback else "promotion of"
    with connection.reading() as client:
        run = client.create_run(
            connection.experiment_id,
            start_time=at_ms,
            run_name=f"{what} {promotion.version}",
            tags={
                KIND_TAG: "promotion",
                "version": promotion.version,
                "previous": promotion.previous or "",
                "reason": promotion.reason[:MAX_REASON_CHARS],
                "is_rollback": str(promotion.is_rollback).lower(),
                "mlflow.parentRunId": training_run_id,
            },
        )
        client.set_terminated(run.info.run_id, end_time=at_ms)


def read_promotions(connection: Connection) -> list[Promotion]:
    """The whole history, oldest first."""
    return [_promotion(run) for run in connection.runs("promotion")]


def champions_in_turn(history: list[Promotion]) -> list[str]:
    """The champions to go back through, the newest last; a rollback takes those after it away."""
    turn: list[str] = []
    for promotion in history:
        while promotion.is_rollback and turn and turn[-1] != promotion.version:
            turn.pop()
        if not turn or turn[-1] != promotion.version:
            turn.append(promotion.version)
    return turn


def _promotion(run: Run) -> Promotion:
    tags = run.data.tags
    return Promotion(
        version=tags["version"],
        at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        reason=tags["reason"],
        is_rollback=tags["is_rollback"] == "true",
        previous=tags["previous"] or None,
    )


def _after_newest(connection: Connection, at_ms: int) -> int:
    """The time of a promotion orders the history, so it must not be that of another, or earlier."""
    runs = connection.runs("promotion")
    return max(at_ms, runs[-1].info.start_time + 1) if runs else at_ms
