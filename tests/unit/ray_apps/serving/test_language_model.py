"""`ray_apps.serving.language_model`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from ray_apps.serving.language_model import LanguageModel, RemoteTextGenerator
from reaseq.knowledge.text_generator import (
    Generation,
    Prompt,
    ScriptedTextGenerator,
    TextGenerationError,
    TextGenerator,
)

PROMPT = Prompt("system", "user")


class Engine(ScriptedTextGenerator):
    """A model whose health can be asked and that knows when it was closed."""

    is_dead = False
    is_closed = False

    async def check_health(self) -> None:
        if self.is_dead:
            raise RuntimeError("the engine has died")

    async def close(self) -> None:
        self.is_closed = True


def test_requests_fail_with_the_reason_until_the_model_is_there() -> None:
    """Still loading, then why it does not load, then answers."""
    opened: list[TextGenerator | Exception] = [ValueError("no weights"), Engine(["yes"])]

    def open_generator() -> TextGenerator:
        found = opened.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    model = LanguageModel(open_generator)
    with pytest.raises(TextGenerationError, match="still loading"):
        asyncio.run(model.generate(PROMPT, {}))
    with pytest.raises(ValueError, match="no weights") as failure:
        model.load()
    model.failed(failure.value)
    assert (model.is_loaded, model.model, model.reason) == (False, None, "no weights")
    with pytest.raises(TextGenerationError, match="no weights"):
        asyncio.run(model.generate(PROMPT, {}))
    model.load()
    assert (model.is_loaded, model.model, model.reason) == (True, "scripted", "")
    assert asyncio.run(model.generate(PROMPT, {})).text == "yes"


def test_health_is_the_engines_where_it_has_any() -> None:
    """A model that loads is healthy; so is one that cannot be asked."""
    engine = Engine([])
    model = LanguageModel(lambda: engine)
    asyncio.run(model.check_health())
    model.load()
    asyncio.run(model.check_health())
    engine.is_dead = True
    with pytest.raises(RuntimeError, match="died"):
        asyncio.run(model.check_health())
    plain = LanguageModel(lambda: ScriptedTextGenerator([]))
    plain.load()
    asyncio.run(plain.check_health())


def test_closing_gives_back_the_engine_if_there_is_one() -> None:
    """Before it is loaded there is nothing to give back."""
    engine = Engine([])
    model = LanguageModel(lambda: engine)
    asyncio.run(model.close())
    model.load()
    asyncio.run(model.close())
    assert engine.is_closed


def test_a_remote_model_answers_under_its_known_name() -> None:
    """The prompt and the schema reach the other side."""
    engine = Engine(lambda prompt: prompt.user)
    remote = RemoteTextGenerator(engine.generate, "told", 1.0)
    assert remote.model == "told"
    assert asyncio.run(remote.generate(PROMPT, {})).text == "user"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("traceback\n  of the other side\nValueError: no room\n"), "^ValueError: no"),
        (RuntimeError(), "^RuntimeError$"),
        (TimeoutError(), "^no answer in 1 s$"),
    ],
)
def test_every_failure_on_the_way_is_one_error(error: Exception, message: str) -> None:
    """The last line says what happened; an error without words has its name."""

    async def fail(prompt: Prompt, schema: dict[str, object]) -> Generation:
        raise error

    with pytest.raises(TextGenerationError, match=message):
        asyncio.run(RemoteTextGenerator(fail, "told", 1.0).generate(PROMPT, {}))


def test_the_way_there_and_back_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's timeout and some more, then no answer."""
    monkeypatch.setattr("ray_apps.serving.language_model.EXTRA_TIMEOUT_S", 0.05)

    def never(prompt: Prompt, schema: dict[str, object]) -> Awaitable[Generation]:
        return asyncio.get_running_loop().create_future()

    with pytest.raises(TextGenerationError, match=r"no answer in 0\.01 s"):
        asyncio.run(RemoteTextGenerator(never, "told", 0.01).generate(PROMPT, {}))
