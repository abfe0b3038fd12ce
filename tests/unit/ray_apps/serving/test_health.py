"""`ray_apps.serving.health`."""

from __future__ import annotations

import asyncio

from ray_apps.serving.health import check_parts


async def answering() -> str:
    return "v1"


async def hanging() -> str:
    await asyncio.Event().wait()
    return "never"


def test_parts_that_hang_are_missing_and_are_waited_for_together() -> None:
    """Ten that hang cost one timeout; a part that is not deployed is not missing."""
    parts = {"recommender": answering} | {f"part{n}": hanging for n in range(10)}

    async def check() -> float:
        began = asyncio.get_running_loop().time()
        health = await check_parts(parts, timeout_s=0.1)
        assert health.model_version == "v1"
        assert health.fallbacks == [f"part{n}_unavailable" for n in range(10)]
        assert (health.generator_version, health.knowledge_model) == (None, None)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(check()) < 0.5
