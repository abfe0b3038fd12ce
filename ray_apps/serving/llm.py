"""The language model as a Serve deployment: a `TextGenerator` on a pool of its own.

The engine starts in the background, so that an application is up at once and a model that takes
minutes to load, or never does, delays nobody: until it is there, questions fail with the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os

from ray.serve.handle import DeploymentHandle

from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from ray_apps.text_generation.choose import open_text_generator
from reaseq.knowledge.text_generator import (
    Generation,
    Prompt,
    TextGenerationError,
    TextGenerator,
)

logger = logging.getLogger("ray.serve")

PAUSE_AFTER_FAILURE_S = 30.0
"""Until a model that could not be loaded is tried again."""

NICENESS = 10
"""On a CPU, text generation takes what the stream and the recommender leave."""

_PATIENCE_S = 5.0
"""Beyond the model's own timeout: for the way there and back."""


class LlmReplica:
    """Holds one engine."""

    def __init__(self, settings: Settings) -> None:
        if not settings.pools.llm.num_gpus:
            os.nice(NICENESS)
        self._settings = settings
        self._generator: TextGenerator | None = None
        self._reason = "the language model is still loading"
        self._tasks = [asyncio.get_running_loop().create_task(self._start())]

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """See `TextGenerator`."""
        if self._generator is None:
            raise TextGenerationError(self._reason)
        return await self._generator.generate(prompt, schema)

    async def model(self) -> str | None:
        """The model's name, None until it is loaded."""
        return self._generator.model if self._generator else None

    async def reason(self) -> str:
        """Why there is no model yet; empty when there is one."""
        return "" if self._generator else self._reason

    async def check_health(self) -> None:
        """Serve replaces a replica whose engine has died."""
        check = getattr(self._generator, "check_health", None)
        if check is not None:
            await check()

    async def _start(self) -> None:
        folder = Home(self._settings.home).root
        while self._generator is None:
            try:
                self._generator = await asyncio.to_thread(
                    open_text_generator, self._settings.knowledge, folder
                )
            except Exception as error:
                logger.exception("the language model does not load")
                self._reason = str(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)


class LlmHandle:
    """The deployment as a `TextGenerator`, seen through its handle."""

    def __init__(self, handle: DeploymentHandle, model: str, timeout_s: float) -> None:
        self._handle = handle
        self._model = model
        self._timeout_s = timeout_s

    @property
    def model(self) -> str:
        """The name that provenance carries; known before the model is loaded."""
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """See `TextGenerator`: every failure on the way is a TextGenerationError."""
        try:
            return await asyncio.wait_for(
                self._handle.generate.remote(prompt, schema), self._timeout_s + _PATIENCE_S
            )
        except TimeoutError:
            raise TextGenerationError(f"no answer in {self._timeout_s:g} s") from None
        except Exception as error:
            raise TextGenerationError(str(error).strip().splitlines()[-1]) from error

    async def close(self) -> None:
        """Nothing is held: the deployment is Serve's."""
