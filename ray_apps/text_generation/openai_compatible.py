"""Any OpenAI-compatible endpoint as a `TextGenerator`: a vLLM server, Ray Serve LLM, a cloud's."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import httpx
import msgspec

from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import Generation, Prompt, TextGenerationError

MAX_QUOTE = 300
"""So much of a refusal's own words is passed on."""


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    """The part of an answer that is read; the rest is ignored."""

    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: _Usage | None = None


class EndpointTextGenerator:
    """See `reaseq.knowledge.text_generator.TextGenerator`; asks `base_url`/chat/completions."""

    def __init__(self, settings: KnowledgeSettings) -> None:
        """Connects at the first call. `settings` names `base_url` and `model`."""
        assert settings.base_url
        assert settings.model
        self._settings = settings
        self._model = settings.model
        self._url = settings.base_url.rstrip("/") + "/chat/completions"
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=settings.max_concurrent),
        )

    @property
    def model(self) -> str:
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        started = time.monotonic()
        answer = await self._ask(self._question(prompt, schema))
        try:
            completion = msgspec.json.decode(answer, type=_Completion)
        except msgspec.MsgspecError as error:
            raise TextGenerationError(
                f"{self._url} answered no chat completion ({error}): check knowledge.base_url"
            ) from None
        message, usage = completion.choices[0].message, completion.usage or _Usage()
        # A refusal is the model's answer: it is no JSON and will be judged as that.
        text = message.content or message.refusal or ""
        took_s = time.monotonic() - started
        return Generation(text, usage.prompt_tokens, usage.completion_tokens, took_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _question(self, prompt: Prompt, schema: dict[str, object]) -> dict[str, object]:
        form = {"name": "answer", "strict": True, "schema": schema}
        return {
            "model": self._model,
            "messages": prompt.messages(),
            "max_tokens": self._settings.max_tokens,
            "temperature": self._settings.temperature,
            "frequency_penalty": self._settings.frequency_penalty,
            "response_format": {"type": "json_schema", "json_schema": form},
        }

    async def _ask(self, question: dict[str, object]) -> bytes:
        timeout_s = self._settings.timeout_s
        try:
            # The client's own timeout is per read: a dripping answer would never end.
            async with asyncio.timeout(timeout_s):
                response = await self._client.post(self._url, json=question)
        except (TimeoutError, httpx.TimeoutException):
            raise TextGenerationError(f"{self._url} gave no answer in {timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TextGenerationError(
                f"{self._url} cannot be reached ({error}): is the server up, "
                "and knowledge.base_url right?"
            ) from None
        if response.is_success:
            return response.content
        raise TextGenerationError(f"{self._url} answered {self._explain(response)}")

    def _explain(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            # What the server says here may repeat the key.
            return f"{status}: check knowledge.api_key"
        quote = " ".join(response.text.split())[:MAX_QUOTE]
        if status == httpx.codes.NOT_FOUND:
            return f"404: is there a model {self._model}, and does base_url end in /v1? {quote}"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return f"429: it is asked too often; lower knowledge.max_concurrent. {quote}"
        return f"{status}: {quote}"
