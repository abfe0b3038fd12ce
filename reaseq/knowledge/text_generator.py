"""The one door to language models: a prompt and a JSON schema in, text out.

vLLM in process and OpenAI-compatible endpoints stand behind it in `ray_apps.text_generation`; the
fake here stands in for them in tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from reaseq.errors import UnavailableError


class Prompt(NamedTuple):
    """One call: what the model is, what it is asked, and turns (asked, answered) to take after."""

    system: str
    user: str
    examples: tuple[tuple[str, str], ...] = ()

    def messages(self) -> list[dict[str, str]]:
        """The turns in order, as chat templates and chat endpoints take them."""
        turns = [("system", self.system)]
        for asked, answered in self.examples:
            turns += [("user", asked), ("assistant", answered)]
        turns.append(("user", self.user))
        return [{"role": role, "content": content} for role, content in turns]


class Generation(NamedTuple):
    """What came back, and what it cost."""

    text: str
    num_prompt_tokens: int
    num_tokens: int
    duration_s: float


class TextGenerationError(UnavailableError):
    """No text came: timeout, no connection, a refusal. The message says what to check.

    The one error a `TextGenerator` raises. It says nothing about the item: try again later.
    """


class TextGenerator(Protocol):
    """A language model that can be held to a JSON schema."""

    @property
    def model(self) -> str:
        """The model's name for provenance; another model has another name."""

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """Answer the prompt with JSON under the schema, to be called by many tasks at once.

        A model may be cut off at its token limit or break the schema all the same: check the text.
        Raises TextGenerationError when there is no text.
        """

    async def close(self) -> None:
        """Give back what the model holds: processes, connections. No call may follow."""


Answer = str | Exception
"""What the fake says; an exception is raised."""


class ScriptedTextGenerator:
    """A fake: answers from a list, in the order of the calls, or by a function of the prompt.

    `delay_s` makes it slow. `prompts` holds every prompt it was given, `num_running` and
    `max_running` count calls at once. A list that has run out raises TextGenerationError.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[Prompt], Answer],
        *,
        model: str = "scripted",
        delay_s: float = 0.0,
    ) -> None:
        self._answers = answers if callable(answers) else _in_order(answers)
        self._model = model
        self.delay_s = delay_s
        self.prompts: list[Prompt] = []
        self.num_running = 0
        self.max_running = 0

    @property
    def model(self) -> str:
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        started = time.monotonic()
        self.prompts.append(prompt)
        answer = self._answers(prompt)
        self.num_running += 1
        self.max_running = max(self.max_running, self.num_running)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.num_running -= 1
        if isinstance(answer, Exception):
            raise answer
        num_prompt_tokens = len(f"{prompt.system} {prompt.user}".split())
        return Generation(
            answer, num_prompt_tokens, len(answer.split()), time.monotonic() - started
        )

    async def close(self) -> None:
        """Nothing is held."""


def _in_order(answers: Iterable[Answer]) -> Callable[[Prompt], Answer]:
    remaining = iter(answers)
    end = TextGenerationError("the script has no more answers")
    return lambda prompt: next(remaining, end)
