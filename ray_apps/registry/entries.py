"""What the registry knows of each version, read from MLflow's versions and runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ray_apps.registry.model_folders import local_artifacts
from ray_apps.registry.promotions import Promotion

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

State = Literal["training", "complete", "gone"]
"""Of a version: its name is taken, it may serve, or its folder is no longer there."""

VERDICT_TAG = "verdict"
TRAINED_UP_TO_TAG = "trained_up_to_ms"


class ModelEntry(NamedTuple):
    """One version; `trained_up_to_ms` as `complete` was given it."""

    version: str
    created_at: datetime
    state: State
    is_champion: bool
    verdict: str | None
    figures: dict[str, float]
    """The newest value of every metric of its run, those of its comparison among them."""
    trained_up_to_ms: int | None
    last_promotion: Promotion | None
    run_id: str
    """The MLflow run that trained it."""


def entry_of(
    made: ModelVersion,
    run: Run | None,
    folder: Path,
    champion: str | None,
    last_promotion: Promotion | None,
) -> ModelEntry:
    """The entry of a version that `run` trained into `folder`."""
    tags = run.data.tags if run else {}
    trained_up_to = tags.get(TRAINED_UP_TO_TAG)
    return ModelEntry(
        version=name_of(made),
        created_at=datetime.fromtimestamp(made.creation_timestamp / 1000, UTC),
        state=state_of(run, folder),
        is_champion=name_of(made) == champion,
        verdict=tags.get(VERDICT_TAG),
        figures=dict(run.data.metrics) if run else {},
        trained_up_to_ms=int(trained_up_to) if trained_up_to else None,
        last_promotion=last_promotion,
        run_id=run_id_of(made),
    )


def run_id_of(made: ModelVersion) -> str:
    """The run that trained a version; there is none without."""
    assert made.run_id is not None
    return made.run_id


def state_of(run: Run | None, folder: Path) -> State:
    """The state of the version that `run` trained into `folder`.

    On a server it is complete without a folder here, for it can be downloaded.
    """
    if run is None:
        return "gone"
    if run.info.status == "RUNNING":
        return "training"
    if run.info.status != "FINISHED":
        return "gone"
    return "complete" if folder.is_dir() or local_artifacts(run) is None else "gone"


def name_of(made: ModelVersion) -> str:
    """Our name of MLflow's version: v0001 of 1."""
    return f"v{int(made.version):04d}"


def number_of(version: str) -> str:
    """MLflow's version of our name: 1 of v0001."""
    return str(int(version.removeprefix("v")))
