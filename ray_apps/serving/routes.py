"""The HTTP routes: paths, bounds and bodies. What they do is the handler's."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse

from ray_apps.serving.api import (
    EventIn,
    EventsAccepted,
    GeneratedOut,
    Health,
    ItemOut,
    KnowledgeOut,
    Recommendations,
)
from ray_apps.serving.handler import RequestHandler
from ray_apps.serving.request_errors import RequestError
from reaseq import __version__
from reaseq.errors import UnavailableError
from reaseq.recommendation.slate import Scene

logger = logging.getLogger(__name__)

UNAVAILABLE = "what this needs does not answer now: send it again later"
"""Which part it is stands in the log; its address is nobody else's business."""


def build_api(handler: RequestHandler) -> FastAPI:
    """The HTTP application over a handler."""
    api = FastAPI(
        title="reaseq",
        version=__version__,
        description="Recommendations from a stream of events. An event changes the next answer.",
    )
    _add_users(api, handler)
    _add_items(api, handler)
    _add_events_and_health(api, handler)

    @api.exception_handler(RequestError)
    async def refuse(request: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, error.status)

    @api.exception_handler(UnavailableError)
    async def put_off(request: Request, error: UnavailableError) -> JSONResponse:
        logger.error("%s %s cannot be answered now: %s", request.method, request.url.path, error)
        return JSONResponse({"detail": UNAVAILABLE}, 503)

    return api


def _add_users(api: FastAPI, handler: RequestHandler) -> None:
    @api.get("/v1/users/{user_id}/recommendations")
    async def recommend(
        user_id: str,
        scene: Annotated[
            Scene, Query(description="guess: home page; post_buy: after a purchase")
        ] = Scene.GUESS,
        k: Annotated[int, Query(ge=1, description="How many items")] = 20,
    ) -> Recommendations:
        """The `k` best items for a user now."""
        return await handler.recommend(user_id, scene, k)

    @api.get("/v1/users/{user_id}/generated")
    async def generated(user_id: str) -> GeneratedOut:
        """What the behaviour generator infers beyond the log, with its provenance."""
        return await handler.generated(user_id)


def _add_items(api: FastAPI, handler: RequestHandler) -> None:
    @api.get("/v1/items/{item_id}/knowledge")
    async def knowledge(item_id: str) -> KnowledgeOut:
        """What an agent says about an item, with provenance and verdict."""
        return await handler.knowledge(item_id)

    @api.get("/v1/items/{item_id}")
    async def item(item_id: str) -> ItemOut:
        """What the catalogue knows of an item."""
        return await handler.item(item_id)


def _add_events_and_health(api: FastAPI, handler: RequestHandler) -> None:
    @api.post("/v1/events", status_code=202)
    async def take_events(events: EventIn | list[EventIn]) -> EventsAccepted:
        """Append one event or a list of events to the log."""
        return await handler.take_events(events if isinstance(events, list) else [events])

    @api.get("/healthz")
    async def health() -> Health:
        """200 while requests can be answered, whatever part is missing."""
        return await handler.health()
