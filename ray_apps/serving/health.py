"""Which parts of the application answer, and with which models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ray_apps.serving.api import Health
from reaseq.recommendation.slate import NO_RANKER

PART_TIMEOUT_S = 0.5
"""How long each part may take to answer; all are asked at once."""

AskVersion = Callable[[], Awaitable[str | None]]
"""The model of a part, None where it has none yet."""


async def check_parts(parts: Mapping[str, AskVersion], timeout_s: float = PART_TIMEOUT_S) -> Health:
    """Ask every part of the application, the recommender among them, by its name."""
    answers = await asyncio.gather(*(_ask(part, timeout_s) for part in parts.values()))
    versions = dict(zip(parts, answers, strict=True))
    fallbacks = [f"{name}_unavailable" for name, answer in versions.items() if answer is None]
    if versions["recommender"] == "":
        fallbacks.append(NO_RANKER)
    return Health(
        status="ok",
        model_version=versions["recommender"] or None,
        generator_version=versions.get("generator") or None,
        knowledge_model=versions.get("knowledge") or None,
        fallbacks=fallbacks,
    )


async def _ask(part: AskVersion, timeout_s: float) -> str | None:
    """The model of a part, empty where it has none yet; None when the part does not answer."""
    try:
        return await asyncio.wait_for(part(), timeout_s) or ""
    except Exception:  # noqa: BLE001 - whatever it was, the others still answer
        return None
