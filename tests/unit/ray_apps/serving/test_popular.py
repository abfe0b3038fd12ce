"""`ray_apps.serving.popular`."""

from __future__ import annotations

import msgspec

from ray_apps.serving.popular import REFRESH_S, PopularItems
from reaseq.events import EventType
from reaseq.recommendation.slate import Scene
from tests.unit.ray_apps.serving.fakes import FakeClock, FakeHistory, bought

SOLD = (
    bought("u", "tea", 1),
    bought("v", "tea", 2),
    bought("u", "pot", 3),
    bought("u", "cup", 4),
    *(msgspec.structs.replace(bought(u, "pot", 5), event_type=EventType.VIEW) for u in "abc"),
)


def test_popular_items_name_the_fallback_and_their_source() -> None:
    """A slate as any other, without a model."""
    slate = PopularItems(FakeHistory(*SOLD)).slate(Scene.POST_BUY, 2, "no_ranker")
    assert [(i.item_id, i.score, i.sources) for i in slate.items] == [
        ("tea", 2.0, ("popular",)),
        ("cup", 1.0, ("popular",)),
    ]
    assert (slate.scene, slate.model_version) == (Scene.POST_BUY, None)
    assert slate.fallbacks == ("no_ranker",)


def test_purchases_are_counted_once_a_minute() -> None:
    """And then anew."""
    history, clock = FakeHistory(*SOLD), FakeClock()
    popular = PopularItems(history, clock=clock)
    for _ in range(3):
        popular.slate(Scene.GUESS, 1, "f")
    assert history.num_read == 1
    history.events += [bought("w", "cup", 6), bought("x", "cup", 7)]
    clock.now += REFRESH_S + 1
    assert popular.slate(Scene.GUESS, 1, "f").items[0].item_id == "cup"


def test_the_first_purchase_is_not_waited_for() -> None:
    """While nothing was ever bought, every request looks again."""
    history, clock = FakeHistory(), FakeClock()
    popular = PopularItems(history, clock=clock)
    assert popular.slate(Scene.GUESS, 5, "f").items == ()
    history.events.append(bought("u", "tea", 1))
    assert [i.item_id for i in popular.slate(Scene.GUESS, 5, "f").items] == ["tea"]
