"""What an endpoint does wrong, said so that one can fix it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from ray_apps.text_generation.openai_compatible import EndpointTextGenerator
from reaseq.knowledge.item_knowledge import answers_schema
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import Generation, Prompt, TextGenerationError
from tests.language_model import LanguageModel
from tests.waiting import PATIENCE_S


@pytest.fixture
def server() -> Iterator[LanguageModel]:
    with closing(LanguageModel()) as running:
        yield running


def ask(base_url: str, timeout_s: float = PATIENCE_S) -> Generation:
    settings = KnowledgeSettings(
        source="endpoint",
        model="the-model",
        base_url=base_url,
        api_key=SecretStr("s3cret"),
        timeout_s=timeout_s,
    )

    async def call() -> Generation:
        generator = EndpointTextGenerator(settings)
        try:
            return await generator.generate(Prompt("system", "user"), answers_schema())
        finally:
            await generator.close()

    return asyncio.run(call())


def test_the_question_carries_model_schema_and_key(server: LanguageModel) -> None:
    """As the chat completions interface has it."""
    assert ask(server.url).num_tokens == 40
    (question,) = server.questions
    assert question["model"] == "the-model"
    assert question["response_format"]["json_schema"]["schema"] == answers_schema()  # type: ignore[index]
    assert server.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("down", "500.*out of memory"),
        ("401", r"401: check knowledge\.api_key"),
        ("403", r"403: check knowledge\.api_key"),
        ("404", "404.*the-model.*base_url"),
        ("429", r"429.*knowledge\.max_concurrent"),
        ("slow", "no answer in 1 s"),
        ("no completion", r"no chat completion.*knowledge\.base_url"),
    ],
)
def test_each_failure_says_what_to_check(server: LanguageModel, mode: str, told: str) -> None:
    """It is always the one error that callers wait for."""
    server.mode = mode
    with pytest.raises(TextGenerationError, match=told) as error:
        ask(server.url, timeout_s=1.0 if mode == "slow" else PATIENCE_S)
    if mode in ("401", "403"):
        assert "s3cret" not in str(error.value)


def test_an_endpoint_that_is_not_there_is_named() -> None:
    """With the setting that leads to it."""
    with pytest.raises(TextGenerationError, match=r"127.0.0.1:1/.*knowledge\.base_url"):
        ask("http://127.0.0.1:1/v1")
