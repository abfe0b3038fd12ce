"""`ray_apps.training.retrain`: which time decides between two versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps.registry.kinds import MODEL_KINDS
from ray_apps.registry.model_kind import Comparison
from ray_apps.runtime.feature_store import event_archive
from ray_apps.settings import Settings
from ray_apps.training.retrain import retrain
from ray_apps.training.train import fit_here
from ray_apps.training.training_set import orders_before
from reaseq.errors import NotReadyError
from reaseq.evaluation.prequential import Quality
from reaseq.schemas import EVENT_SCHEMA
from reaseq.types import DAY_MS
from streams.offline.events import as_history
from streams.offline.tables import Commit
from tests.unit.ray_apps.registry.toy_kind import TOY

HOUR_MS = DAY_MS // 24
START_MS = 1_300_000_000_000
IN_2099_MS = 4_070_908_800_000
TOY_TRAINED_UP_TO_MS = 7


def compare(
    settings: Settings, champion: str, challenger: str, start_ms: int, end_ms: int
) -> Comparison:
    """The challenger wins on whatever time it is given."""
    quality = Quality(hit_rate=0.5, ndcg=0.5, k=20, num_orders=1, num_targets=1)
    return Comparison(quality, replace(quality, ndcg=0.6), start_ms, end_ms)


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(MODEL_KINDS, TOY.name, replace(TOY, compare=f"{__name__}:compare"))
    return Settings(home=home)


def archive(settings: Settings, times_ms: list[int]) -> None:
    """Purchases of these times have arrived."""
    rows = [
        {
            "event_id": f"{number}",
            "user_id": f"u{number % 7}",
            "item_id": f"i{number % 5}",
            "event_type": "purchase",
            "event_time_ms": time_ms,
            "value": 1.0,
        }
        for number, time_ms in enumerate(times_ms)
    ]
    events = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
    event_archive(settings).append(as_history(events), Commit("history"))


def test_one_event_of_2099_does_not_move_the_time_that_decides(settings: Settings) -> None:
    """The newest week of the month, as if the event had not come."""
    month = [START_MS + hour * HOUR_MS for hour in range(720)]
    archive(settings, [*month, IN_2099_MS])
    retrain(settings, "toy", fitter=fit_here)
    comparison = retrain(settings, "toy", fitter=fit_here).comparison
    assert comparison is not None
    assert comparison.end_ms == month[-1] + 1
    assert comparison.start_ms == comparison.end_ms - 7 * DAY_MS


def test_nothing_new_is_said_with_the_events_that_wait(settings: Settings) -> None:
    """Nothing but an event of 2099 has come since the champion was trained."""
    archive(settings, [TOY_TRAINED_UP_TO_MS] * 60 + [IN_2099_MS])
    retrain(settings, "toy", fitter=fit_here)
    with pytest.raises(NotReadyError, match=r"later: 1, the newest of 2099-01-01T00:00:00Z"):
        retrain(settings, "toy", fitter=fit_here)


def test_nothing_new_and_nothing_that_waits(settings: Settings) -> None:
    """Then the message ends there."""
    archive(settings, [TOY_TRAINED_UP_TO_MS] * 60)
    retrain(settings, "toy", fitter=fit_here)
    with pytest.raises(NotReadyError, match=r"could be compared with it$"):
        retrain(settings, "toy", fitter=fit_here)


def test_an_event_of_2099_is_not_learnt_from(settings: Settings) -> None:
    """What a model is trained on ends at the log's own now; so does what it says it knows."""
    month = [START_MS + hour * HOUR_MS for hour in range(720)]
    archive(settings, [*month, IN_2099_MS])
    events, orders = orders_before(settings, None)
    assert events["event_time_ms"].to_pylist() == month
    assert orders.num_rows == 720
