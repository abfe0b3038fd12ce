"""Retraining as a job: train on what has arrived, compare with the champion, promote the winner."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow.compute as pc

from ray_apps.registry.kinds import kind_of, registry_of
from ray_apps.registry.model_kind import Comparison, OnProgress
from ray_apps.runtime.feature_store import event_archive
from ray_apps.settings import Settings
from ray_apps.training.train import Fitter, OnEpoch, train_and_register
from reaseq.artifacts import Manifest, read_trained_up_to_ms
from reaseq.errors import NotReadyError
from reaseq.event_clock import clock_of
from reaseq.events import shown_time
from reaseq.types import DAY_MS


class Outcome(NamedTuple):
    """A challenger and what became of it."""

    kind: str
    challenger: Manifest[Any]
    champion: str | None
    """Who served before; None: the challenger is the first."""
    comparison: Comparison | None
    """None: it is the first, or of a kind whose versions are not compared."""

    @property
    def promoted(self) -> bool:
        """Whether the challenger serves now."""
        return self.comparison is None or self.comparison.challenger_wins

    @property
    def why(self) -> str:
        """The reason in one line."""
        if self.champion is None:
            return f"the first {self.kind}"
        if self.comparison is None:
            return "newly trained"
        challenger, champion = self.comparison.challenger, self.comparison.champion
        return (
            f"NDCG@{champion.k} {challenger.ndcg:.4f} against {champion.ndcg:.4f} of "
            f"{self.champion} on {champion.num_orders:,} orders"
        )


def retrain(
    settings: Settings,
    kind: str,
    *,
    end_ms: int | None = None,
    seed: int = 0,
    on_epoch: OnEpoch = lambda report: None,
    on_progress: OnProgress = lambda what, done, total: None,
    fitter: Fitter | None = None,
) -> Outcome:
    """One round: training set as of each order, Ray Train, comparison, verdict in the registry.

    Where versions of a kind are compared, the newest `retrain.held_out_days` before `end_ms` (None:
    up to the log's own now, see `reaseq.event_clock`) are kept from the challenger and decide;
    fewer where the champion has learnt from some of them. A first model has nobody to beat and
    trains on everything. Ray must be initialised
    unless `fitter` needs none. Raises ReaseqError when there is nothing to train on, or nothing
    that the champion has not learnt from.
    """
    row = kind_of(kind)
    champion = registry_of(settings, kind).champion
    start_ms = end_ms
    if champion and row.compare:
        end_ms = _now_ms(settings) + 1 if end_ms is None else end_ms
        start_ms = _held_out_from(settings, kind, champion, end_ms)
    challenger = train_and_register(
        settings,
        kind,
        before_ms=start_ms,
        seed=seed,
        on_epoch=on_epoch,
        on_progress=on_progress,
        fitter=fitter,
    )
    comparison = None
    if champion and row.compare:
        assert start_ms is not None
        assert end_ms is not None
        on_progress("comparing with the champion", 0, 0)
        version = challenger.version
        comparison = row.compare_versions(settings, champion, version, start_ms, end_ms)
    outcome = Outcome(kind, challenger, champion, comparison)
    _settle(settings, outcome)
    return outcome


def _now_ms(settings: Settings) -> int:
    """What time it is by the events."""
    events = event_archive(settings).read()
    return clock_of(events["event_time_ms"].to_numpy()).now_ms or 0


def _held_out_from(settings: Settings, kind: str, champion: str, end_ms: int) -> int:
    """When the time begins that neither contender may have learnt from."""
    learnt_up_to_ms = read_trained_up_to_ms(registry_of(settings, kind).folder_of(champion))
    start_ms = end_ms - int(settings.retrain.held_out_days * DAY_MS)
    start_ms = max(start_ms, learnt_up_to_ms + 1)
    if start_ms >= end_ms:
        raise NotReadyError(
            f"nothing has arrived since {champion} was trained: there is no time on which a "
            f"challenger could be compared with it{_later_events(settings, end_ms)}"
        )
    return start_ms


def _later_events(settings: Settings, end_ms: int) -> str:
    """What lies behind the end of the period, for a message; nothing where nothing does."""
    times_ms = event_archive(settings).read()["event_time_ms"]
    later_ms = times_ms.filter(pc.greater_equal(times_ms, end_ms))
    if not len(later_ms):
        return ""
    return (
        f". Events dated after {shown_time(end_ms - 1)} are left for later: {len(later_ms):,}, the "
        f"newest of {shown_time(pc.max(later_ms).as_py())}"
    )


def _settle(settings: Settings, outcome: Outcome) -> None:
    """Write the verdict down, then let it take effect."""
    registry = registry_of(settings, outcome.kind)
    version, comparison = outcome.challenger.version, outcome.comparison
    if outcome.champion is None:
        registry.record(version, "first", {})
    if comparison is not None:
        figures = {
            "hit_rate": comparison.challenger.hit_rate,
            "ndcg": comparison.challenger.ndcg,
            "champion_hit_rate": comparison.champion.hit_rate,
            "champion_ndcg": comparison.champion.ndcg,
            "num_orders": comparison.champion.num_orders,
        }
        registry.record(version, "promoted" if outcome.promoted else "refused", figures)
    if outcome.promoted:
        registry.promote(version, outcome.why)
