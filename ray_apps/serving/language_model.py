"""The language model behind its deployment, and that deployment seen from the others.

The engine is loaded in the background, so that an application is up at once and a model that takes
minutes to load, or never does, delays nobody: until it is there, requests fail with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reaseq.knowledge.text_generator import (
    Generation,
    Prompt,
    TextGenerationError,
    TextGenerator,
)

logger = logging.getLogger("ray.serve")

EXTRA_TIMEOUT_S = 5.0
"""Beyond the model's own timeout: for the way there and back."""


AskModel = Callable[[Prompt, dict[str, object]], Awaitable[Generation]]
"""The remote call of `LanguageModel.generate`."""


class LanguageModel:
    """Holds one engine, once it is loaded."""

    def __init__(self, open_generator: Callable[[], TextGenerator]) -> None:
        """`open_generator` may take minutes, and raise."""
        self._open_generator = open_generator
        self._generator: TextGenerator | None = None
        self._reason = "the language model is still loading"

    @property
    def is_loaded(self) -> bool:
        """Whether there is a model."""
        return self._generator is not None

    @property
    def model(self) -> str | None:
        """The model's name, None until it is loaded."""
        return self._generator.model if self._generator else None

    @property
    def reason(self) -> str:
        """Why there is no model yet; empty when there is one."""
        return "" if self._generator else self._reason

    def load(self) -> None:
        """Load the model; raises whatever keeps it from loading."""
        self._generator = self._open_generator()

    def failed(self, error: Exception) -> None:
        """Loading has failed and will be tried again."""
        logger.error("the language model does not load", exc_info=error)
        self._reason = str(error)

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """See `TextGenerator`."""
        if self._generator is None:
            raise TextGenerationError(self._reason)
        return await self._generator.generate(prompt, schema)

    async def check_health(self) -> None:
        """Raises when the engine has died."""
        check = getattr(self._generator, "check_health", None)
        if check is not None:
            await check()

    async def close(self) -> None:
        """Give back what the engine holds."""
        if self._generator is not None:
            await self._generator.close()


class RemoteTextGenerator:
    """A `TextGenerator` that another deployment holds."""

    def __init__(self, ask: AskModel, model: str, timeout_s: float) -> None:
        """`timeout_s` is the model's own."""
        self._ask = ask
        self._model = model
        self._timeout_s = timeout_s

    @property
    def model(self) -> str:
        """The name that provenance carries; known before the model is loaded."""
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """See `TextGenerator`: every failure on the way is a TextGenerationError."""
        longest_s = self._timeout_s + EXTRA_TIMEOUT_S
        try:
            return await asyncio.wait_for(self._ask(prompt, schema), longest_s)
        except TimeoutError:
            raise TextGenerationError(f"no answer in {self._timeout_s:g} s") from None
        except Exception as error:
            raise TextGenerationError(_last_line(error)) from error

    async def close(self) -> None:
        """Nothing is held: the deployment is Serve's."""


def _last_line(error: Exception) -> str:
    """What went wrong, without the remote traceback above it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
