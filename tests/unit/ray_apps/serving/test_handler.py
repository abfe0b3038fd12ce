"""`ray_apps.serving.handler` and its HTTP routes, on fakes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from ray_apps.serving.handler import EventWriter, RequestHandler
from ray_apps.serving.impressions import ImpressionLog
from ray_apps.serving.popular import PopularItems
from ray_apps.serving.routes import UNAVAILABLE, build_api
from reaseq.feature_views import GENERATED, ITEMS, KNOWLEDGE, POPULARITY, SEQUENCES
from reaseq.recommendation.slate import Scene, Slate, SlateItem
from reaseq.schemas import GENERATED_SCHEMA, ITEM_SCHEMA, KNOWLEDGE_SCHEMA, POPULARITY_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec
from streams.log.event_times import EventTimes
from tests.unit.ray_apps.serving.fakes import (
    EVENT_CODEC,
    EVENTS,
    IMPRESSIONS,
    BreakableFeatures,
    FakeHistory,
    FakeWriter,
    bought,
    generated_row,
    sequence_of,
)

SLATE = Slate(
    items=(SlateItem("tea", 2.5, ("similar", "popular")), SlateItem("cup", 1.5, ("popular",))),
    scene=Scene.GUESS,
    model_version="v1",
    fallbacks=(),
)
EVENT = {"user_id": "u", "item_id": "tea", "event_type": "view", "event_time_ms": 7}


class Front:
    """A handler on fakes and a client of its routes."""

    def __init__(self) -> None:
        self.features = BreakableFeatures()
        self.events, self.impressions = FakeWriter(), FakeWriter()
        self.answer: Slate | Exception = SLATE
        self.delay_s = 0.0
        self.asked: list[tuple[pa.Table, Scene, int]] = []
        self.versions: dict[str, str | Exception | None] = {
            "recommender": "v1",
            "generator": "g1",
            "behaviours": None,
            "knowledge": "scripted",
        }
        self.handler = RequestHandler(
            self.features,
            self._ask,
            {name: self._part(name) for name in self.versions},
            events=EventWriter(self.events, EVENTS, EVENT_CODEC),
            impressions=ImpressionLog(self.impressions, IMPRESSIONS),
            popular=PopularItems(FakeHistory(bought("u", "pot", 1))),
            max_k=50,
            recommender_timeout_s=0.1,
            now_ms=lambda: 123,
        )
        self.http: httpx.Client = TestClient(build_api(self.handler))

    async def _ask(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        self.asked.append((sequence, scene, k))
        await asyncio.sleep(self.delay_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def _part(self, name: str) -> Any:
        async def version() -> str | None:
            found = self.versions[name]
            if isinstance(found, Exception):
                raise found
            return found

        return version

    def recommend(self, user_id: str = "u", **params: Any) -> dict[str, Any]:
        answer = self.http.get(f"/v1/users/{user_id}/recommendations", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def logged(self) -> list[dict[str, Any]]:
        """Every impression, once the log is closed."""
        asyncio.run(self.handler.close())
        assert {topic for topic, _, _ in self.impressions.sent} <= {IMPRESSIONS}
        return [msgspec.json.decode(value) for _, value, _ in self.impressions.sent]


@pytest.fixture
def front() -> Iterator[Front]:
    """The user u has bought tea, for whom a pot was generated; tea is in the catalogue."""
    front = Front()
    features = front.features
    features.write(SEQUENCES, sequence_of("u", ("tea", 5)))
    row = generated_row("u", "pot", "tea", newest_ms=5)
    features.write(GENERATED, pa.Table.from_pylist([row], schema=GENERATED_SCHEMA))
    tea = {"item_id": "tea", "title": "GREEN TEA", "price": 3.5, "event_time_ms": 1}
    features.write(ITEMS, pa.Table.from_pylist([tea], schema=ITEM_SCHEMA))
    yield front
    asyncio.run(front.handler.close())


def test_a_recommendation_says_what_it_rests_on(front: Front) -> None:
    """Titles and prices of the catalogue, reasons of the recommender, facts of the sequence."""
    answer = front.recommend()
    assert answer["items"] == [
        {
            "item_id": "tea",
            "title": "GREEN TEA",
            "price": 3.5,
            "score": 2.5,
            "sources": ["similar", "popular"],
        },
        {"item_id": "cup", "title": None, "price": None, "score": 1.5, "sources": ["popular"]},
    ]
    assert (answer["user_id"], answer["scene"], answer["known_user"]) == ("u", "guess", True)
    assert (answer["model_version"], answer["fallbacks"]) == ("v1", [])
    assert (answer["sequence_events"], answer["newest_event_time_ms"]) == (1, 5)


def test_the_recommender_is_asked_with_all_that_is_known(front: Front) -> None:
    """The sequence joined to generated behaviours, the scene and k; guess and 20 by default."""
    front.recommend(scene="post_buy", k=3)
    front.recommend("stranger")
    (row, scene, k), (stranger, *defaults) = front.asked
    assert row["item_ids"].to_pylist() == [["tea"]]
    assert row["generated_item_ids"].to_pylist() == [["pot", "tea"]]
    assert (scene, k) == (Scene.POST_BUY, 3)
    assert (stranger.num_rows, defaults) == (0, [Scene.GUESS, 20])
    assert "generated_item_ids" in stranger.schema.names


@pytest.mark.parametrize("how", ["away", "slow"])
def test_without_the_recommender_the_answer_is_popular_items(front: Front, how: str) -> None:
    """Within its timeout, and the fallback is named."""
    if how == "away":
        front.answer = RuntimeError("no replica")
    else:
        front.delay_s = 10.0
    began = time.monotonic()
    answer = front.recommend()
    assert time.monotonic() - began < 5
    assert [item["item_id"] for item in answer["items"]] == ["pot"]
    assert (answer["model_version"], answer["fallbacks"]) == (None, ["recommender_unavailable"])


def test_without_features_the_user_is_a_stranger(front: Front) -> None:
    """What is missing is named before what the recommender missed."""
    front.features.away = {SEQUENCES.name}
    front.answer = SLATE._replace(fallbacks=("unknown_user",))
    answer = front.recommend()
    assert answer["fallbacks"] == ["features_unavailable", "unknown_user"]
    assert not answer["known_user"]
    assert front.asked[0][0].num_rows == 0


def test_without_generated_behaviours_the_sequence_still_counts(front: Front) -> None:
    """Ranking goes on with what was logged."""
    front.features.away = {GENERATED.name}
    answer = front.recommend()
    assert answer["fallbacks"] == ["generated_unavailable"]
    assert front.asked[0][0]["item_ids"].to_pylist() == [["tea"]]
    assert front.asked[0][0]["generated_item_ids"].to_pylist() == [[]]


def test_without_the_catalogue_only_titles_are_missing(front: Front) -> None:
    """The slate stays what it is."""
    front.features.away = {ITEMS.name}
    answer = front.recommend()
    assert [(i["item_id"], i["title"]) for i in answer["items"]] == [("tea", None), ("cup", None)]


def test_every_answer_is_logged_with_the_features_behind_it(front: Front) -> None:
    """Under the user's key; a stranger has no features."""
    shown = [front.recommend(), front.recommend("stranger")]
    logged = front.logged()
    assert [key for _, _, key in front.impressions.sent] == [b"u", b"stranger"]
    assert [entry["impression_id"] for entry in logged] == [s["impression_id"] for s in shown]
    assert len({entry["impression_id"] for entry in logged}) == 2
    assert logged[0]["items"] == shown[0]["items"]
    assert logged[0]["features"]["item_ids"] == ["tea"]
    assert logged[0]["features"]["generated_item_ids"] == ["pot", "tea"]
    assert (logged[0]["served_at_ms"], logged[1]["features"]) == (123, None)


def test_questions_out_of_bounds_are_refused(front: Front) -> None:
    """By 422, saying what the bound is; nobody is asked and nothing is logged."""
    path = "/v1/users/u/recommendations"
    too_many = front.http.get(path, params={"k": 51})
    assert (too_many.status_code, too_many.json()) == (
        422,
        {"detail": "k is at most 50 (recommender.max_k)"},
    )
    assert front.http.get(path, params={"k": 0}).status_code == 422
    assert front.http.get(path, params={"scene": "attic"}).status_code == 422
    assert front.asked == []
    assert front.logged() == []


def test_generated_behaviours_have_titles_and_provenance(front: Front) -> None:
    """Most probable first, as stored."""
    answer = front.http.get("/v1/users/u/generated").json()
    assert answer["items"] == [
        {"item_id": "pot", "title": None, "probability": 0.5},
        {"item_id": "tea", "title": "GREEN TEA", "probability": 0.5},
    ]
    assert (answer["model_version"], answer["generated_at_ms"]) == ("g1", 9)
    assert (answer["partition"], answer["next_offset"], answer["revision"]) == (0, 3, 1)


def test_an_item_has_its_sales_where_they_are_known(front: Front) -> None:
    """None before the first training counted them."""
    before = front.http.get("/v1/items/tea").json()
    assert before == {
        "item_id": "tea",
        "title": "GREEN TEA",
        "price": 3.5,
        "description": None,
        "num_purchases": None,
        "num_buyers": None,
    }
    sold = {"item_id": "tea", "num_purchases": 7, "num_buyers": 4, "event_time_ms": 1}
    front.features.write(POPULARITY, pa.Table.from_pylist([sold], schema=POPULARITY_SCHEMA))
    after = front.http.get("/v1/items/tea").json()
    assert (after["num_purchases"], after["num_buyers"]) == (7, 4)


def test_knowledge_is_a_card_with_its_verdict(front: Front) -> None:
    """Rejected knowledge can be read too, with the reason."""
    card = dict.fromkeys(KNOWLEDGE_SCHEMA.names, "x") | {
        "item_id": "tea",
        "verdict": "rejected",
        "reason": "it echoes",
        "num_prompt_tokens": 5,
        "num_tokens": 6,
        "duration_s": 0.5,
        "event_time_ms": 7,
    }
    front.features.write(KNOWLEDGE, pa.Table.from_pylist([card], schema=KNOWLEDGE_SCHEMA))
    assert front.http.get("/v1/items/tea/knowledge").json() == card


@pytest.mark.parametrize(
    "path",
    ["/v1/items/none-such", "/v1/items/none-such/knowledge", "/v1/users/none-such/generated"],
)
def test_what_is_not_there_is_a_404_by_name(front: Front, path: str) -> None:
    """The answer says what is missing."""
    answer = front.http.get(path)
    assert answer.status_code == 404
    assert "none-such" in answer.json()["detail"]


def test_events_reach_the_log_under_their_users_key(front: Front) -> None:
    """One or a list, acknowledged with their ids, and flushed before the answer."""
    one = front.http.post("/v1/events", json=EVENT)
    two = front.http.post(
        "/v1/events", json=[{**EVENT, "event_id": "a"}, {**EVENT, "user_id": "v"}]
    )
    assert (one.status_code, two.status_code) == (202, 202)
    sent = EVENT_CODEC.decode(ByteSlices.of([value for _, value, _ in front.events.sent])).table
    assert sent["event_id"].to_pylist() == one.json()["event_ids"] + two.json()["event_ids"]
    assert two.json()["event_ids"][0] == "a"
    assert [(topic, key) for topic, _, key in front.events.sent] == [
        (EVENTS, b"u"),
        (EVENTS, b"u"),
        (EVENTS, b"v"),
    ]
    assert front.events.num_flushed == 3


@pytest.mark.parametrize(
    ("events", "status", "named"),
    [
        ({**EVENT, "event_type": "teleport"}, 422, "event_type"),
        ({**EVENT, "colour": "red"}, 422, "colour"),
        ([EVENT] * 1001, 422, "at most 1000 events"),
        ({**EVENT, "context": {"note": "x" * 20_000}}, 413, "bytes are too many"),
    ],
)
def test_wrong_events_are_refused_by_name(
    front: Front, events: object, status: int, named: str
) -> None:
    """And never reach the log."""
    answer = front.http.post("/v1/events", json=events)
    assert answer.status_code == status
    assert named in answer.text
    assert front.events.sent == []


@pytest.mark.parametrize(
    "path", ["/v1/items/tea", "/v1/items/tea/knowledge", "/v1/users/u/generated"]
)
def test_a_store_that_is_away_is_no_missing_row(
    front: Front, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A lookup says to come back; why it failed, with addresses, stands in the log alone."""
    front.features.away = {ITEMS.name, KNOWLEDGE.name, GENERATED.name}
    answer = front.http.get(path)
    assert (answer.status_code, answer.json()) == (503, {"detail": UNAVAILABLE})
    assert f"GET {path} cannot be answered now" in caplog.text
    assert "10.0.0.7" in caplog.text


@pytest.mark.parametrize("time_ms", [1, 4_070_908_800_000])
def test_an_event_of_a_time_that_is_not_believed_sends_none_of_its_list(
    front: Front, time_ms: int
) -> None:
    """Said at once, with its place in the list, where the stream would set it aside later."""
    times = EventTimes(min_ms=2, max_lead_ms=1000)
    codec = event_codec(10_000, times)
    front.handler._events = EventWriter(front.events, EVENTS, codec)
    answer = front.http.post("/v1/events", json=[EVENT, {**EVENT, "event_time_ms": time_ms}])
    assert answer.status_code == 422
    assert f"event 1: event_time_ms {time_ms}" in answer.json()["detail"]
    assert front.events.sent == []


def test_events_that_the_log_did_not_confirm_are_not_accepted(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    """Their sender is told to send them again, and can once the log is back."""
    front.events.is_away = True
    answer = front.http.post("/v1/events", json=EVENT)
    assert (answer.status_code, answer.json()) == (503, {"detail": UNAVAILABLE})
    assert "10.0.0.7 did not confirm" in caplog.text
    front.events.is_away = False
    assert front.http.post("/v1/events", json=EVENT).status_code == 202


def test_health_names_every_model_and_nothing_missing(front: Front) -> None:
    """A part that answers without a model of its own is not missing."""
    assert front.http.get("/healthz").json() == {
        "status": "ok",
        "model_version": "v1",
        "generator_version": "g1",
        "knowledge_model": "scripted",
        "fallbacks": [],
    }


def test_health_names_what_is_missing(front: Front) -> None:
    """A part that fails, and a recommender that has no ranker; the answer is still 200."""
    front.versions |= {"recommender": None, "generator": RuntimeError("gone")}
    answer = front.http.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["fallbacks"] == ["generator_unavailable", "no_ranker"]
    assert answer.json()["model_version"] is None
    front.versions["recommender"] = RuntimeError("gone")
    missing = front.http.get("/healthz").json()["fallbacks"]
    assert missing == ["recommender_unavailable", "generator_unavailable"]


def test_the_documentation_lists_every_route(front: Front) -> None:
    """With the bodies that clients are generated from."""
    document = front.http.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/users/{user_id}/recommendations",
        "/v1/users/{user_id}/generated",
        "/v1/items/{item_id}/knowledge",
        "/v1/items/{item_id}",
        "/v1/events",
        "/healthz",
    }
    assert {"Recommendations", "EventIn", "Health"} <= set(document["components"]["schemas"])


def test_closing_closes_both_writers(front: Front) -> None:
    """After the impressions that waited are written."""
    front.recommend()
    assert len(front.logged()) == 1
    assert front.impressions.is_closed
    assert front.events.is_closed
