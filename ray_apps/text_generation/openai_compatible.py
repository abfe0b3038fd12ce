"""Any OpenAI-compatible endpoint as a `TextGenerator`."""

from __future__ import annotations

import time
from typing import Any

import httpx

from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import Generation, Prompt, TextGenerationError


class EndpointTextGenerator:
    """See `reaseq.knowledge.text_generator.TextGenerator`; one client for all calls."""

    def __init__(self, settings: KnowledgeSettings) -> None:
        assert settings.base_url is not None, "KnowledgeSettings checks it"
        assert settings.model is not None, "KnowledgeSettings checks it"
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._model = settings.model
        self._settings = settings
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=settings.timeout_s,
        )

    @property
    def model(self) -> str:
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        started = time.monotonic()
        named = {"name": "answers", "schema": schema, "strict": True}
        question = {
            "model": self._model,
            "messages": prompt.messages(),
            "max_tokens": self._settings.max_tokens,
            "temperature": self._settings.temperature,
            "response_format": {"type": "json_schema", "json_schema": named},
        }
        try:
            answer = await self._client.post("chat/completions", json=question)
            answer.raise_for_status()
            return _generation(answer.json(), time.monotonic() - started)
        except httpx.HTTPStatusError as error:
            raise TextGenerationError(_explain(error.response, self._model)) from error
        except httpx.TimeoutException as error:
            raise TextGenerationError(f"no answer in {self._settings.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            where = self._settings.base_url
            raise TextGenerationError(
                f"{where} cannot be reached ({error}): check knowledge.base_url"
            ) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise TextGenerationError(f"no chat completion came back: {error!r}") from error

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


def _generation(body: dict[str, Any], took_s: float) -> Generation:
    usage = body.get("usage") or {}
    text = body["choices"][0]["message"]["content"]
    return Generation(
        str(text or ""),
        int(usage.get("prompt_tokens", 0)),
        int(usage.get("completion_tokens", 0)),
        took_s,
    )


def _explain(answer: httpx.Response, model: str) -> str:
    hints = {401: "check knowledge.api_key", 403: "check knowledge.api_key"}
    hint = hints.get(answer.status_code, "check knowledge.base_url and knowledge.model")
    return f"the endpoint refused {model} with {answer.status_code}: {hint}"
