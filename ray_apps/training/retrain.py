"""Retraining as a job: train on what has arrived, compare with the champion, promote the winner."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pyarrow.compute as pc

from ray_apps.registry.kinds import rankers
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.training.compare import Comparison, compare
from ray_apps.training.distributed import OnEpoch
from ray_apps.training.train_ranker import train_model
from reaseq.ranker.folder import ModelManifest, read_manifest
from reaseq.types import DAY_MS
from streams.offline.events import EventArchive


class Outcome(NamedTuple):
    """A challenger and what became of it."""

    challenger: ModelManifest
    champion: str | None
    """Who served before; None: the challenger is the first."""
    comparison: Comparison | None

    @property
    def promoted(self) -> bool:
        """Whether the challenger serves now."""
        return self.comparison is None or self.comparison.challenger_wins

    @property
    def why(self) -> str:
        """The reason in one line."""
        if self.comparison is None:
            return "the first model"
        challenger, champion = self.comparison.challenger, self.comparison.champion
        return (
            f"NDCG@{champion.k} {challenger.ndcg:.4f} against {champion.ndcg:.4f} of "
            f"{self.champion} on {champion.num_orders:,} orders"
        )


def retrain(
    settings: Settings,
    *,
    end_ms: int | None = None,
    seed: int = 0,
    on_text: Callable[[int, int], None] | None = None,
    on_epoch: OnEpoch = lambda report: None,
    on_compare: Callable[[], None] = lambda: None,
) -> Outcome:
    """One round: point-in-time training set, Ray Train, comparison, verdict in the registry.

    The newest `retrain.held_out_days` before `end_ms` (None: all there is) are kept from the
    challenger and decide; fewer where the champion has learnt from some of them. A first model has
    nobody to beat and trains on everything. Ray must be initialised. Raises ValueError when there
    is nothing to train on, or nothing that the champion has not learnt from.
    """
    models = rankers(settings)
    champion = models.champion
    if end_ms is None:
        newest_ms = pc.max(EventArchive(Home(settings.home).events).read()["event_time_ms"]).as_py()
        end_ms = (newest_ms or 0) + 1
    start_ms = _held_out_from(settings, champion, end_ms) if champion else end_ms
    challenger = train_model(
        settings, before_ms=start_ms, seed=seed, on_text=on_text, on_epoch=on_epoch
    )
    comparison = None
    if champion:
        on_compare()
        comparison = compare(settings, champion, challenger.version, start_ms, end_ms)
    outcome = Outcome(challenger, champion, comparison)
    _settle(settings, outcome)
    return outcome


def _held_out_from(settings: Settings, champion: str, end_ms: int) -> int:
    """When the time begins that neither contender may have learnt from."""
    learnt_up_to_ms = read_manifest(rankers(settings).folder_of(champion)).trained_up_to_ms
    start_ms = end_ms - int(settings.retrain.held_out_days * DAY_MS)
    start_ms = max(start_ms, learnt_up_to_ms + 1)
    if start_ms >= end_ms:
        raise ValueError(
            f"nothing has arrived since {champion} was trained: there is no time on which a "
            "challenger could be compared with it"
        )
    return start_ms


def _settle(settings: Settings, outcome: Outcome) -> None:
    """Write the verdict down, then let it take effect."""
    models = rankers(settings)
    version, comparison = outcome.challenger.version, outcome.comparison
    if comparison is None:
        models.record(version, "first", {})
    else:
        figures = {
            "hit_rate": comparison.challenger.hit_rate,
            "ndcg": comparison.challenger.ndcg,
            "champion_hit_rate": comparison.champion.hit_rate,
            "champion_ndcg": comparison.champion.ndcg,
            "num_orders": comparison.champion.num_orders,
        }
        models.record(version, "promoted" if outcome.promoted else "refused", figures)
    if outcome.promoted:
        models.promote(version, outcome.why)
