"""vLLM in process: its asynchronous engine as a `TextGenerator`.

The engine works in a process of its own that vLLM starts; here is only its client. Calls made at
once share its batches.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import Generation, Prompt, TextGenerationError

CPU_KV_CACHE_GIB = 0.5
"""Enough for 16 items at once with the packaged model (23 KB a token)."""

_GIB = 1024**3


class VllmTextGenerator:
    """See `reaseq.knowledge.text_generator.TextGenerator`. `close` ends the engine's process."""

    def __init__(self, engine: Any, model: str, settings: KnowledgeSettings) -> None:
        """Takes over a running engine; `start` makes one."""
        self._engine = engine
        self._model = model
        self._settings = settings

    @classmethod
    def start(cls, model: str | Path, settings: KnowledgeSettings) -> VllmTextGenerator:
        """Load the model, a Hugging Face name or a folder; takes half a minute or more.

        Blocks: call it in a thread where an event loop runs. Raises TextGenerationError when vLLM
        cannot be imported or the engine does not start.
        """
        with _environment(_variables(settings)):
            try:
                engine = _start_engine(model, settings)
            except Exception as error:
                raise TextGenerationError(f"vLLM cannot load {model}: {_cause(error)}") from error
        return cls(engine, model.name if isinstance(model, Path) else model, settings)

    @property
    def model(self) -> str:
        return self._model

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                output = await self._generate(prompt, schema)
        except TimeoutError:
            raise TextGenerationError(
                f"{self._model} gave no answer within {self._settings.timeout_s:g} s"
            ) from None
        except Exception as error:
            raise TextGenerationError(f"vLLM failed: {_cause(error)}") from error
        answer = output.outputs[0]
        took_s = time.monotonic() - started
        return Generation(answer.text, len(output.prompt_token_ids), len(answer.token_ids), took_s)

    async def _generate(self, prompt: Prompt, schema: dict[str, object]) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        parameters = SamplingParams(
            temperature=self._settings.temperature,
            max_tokens=self._settings.max_tokens,
            structured_outputs=StructuredOutputsParams(json=json.dumps(schema)),
            frequency_penalty=self._settings.frequency_penalty,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        tokens = {"prompt_token_ids": self._tokens(prompt)}
        last = None
        async for output in self._engine.generate(tokens, parameters, uuid.uuid4().hex):
            last = output
        if last is None:
            raise TextGenerationError("the engine ended the call without an answer")
        return last

    def _tokens(self, prompt: Prompt) -> list[int]:
        """The prompt in the model's own chat template.

        The user's text is tokenised as it stands: only the agent's own messages reach this place.
        """
        tokens: list[int] = self._engine.get_tokenizer().apply_chat_template(
            prompt.messages(), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return tokens

    async def check_health(self) -> None:
        """Raises TextGenerationError when the engine has died: only a new start helps."""
        try:
            await self._engine.check_health()
        except Exception as error:
            raise TextGenerationError(f"vLLM has died: {_cause(error)}") from error

    async def close(self) -> None:
        """End the engine and its process; no call may follow."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.shutdown)


def _start_engine(model: str | Path, settings: KnowledgeSettings) -> Any:
    from vllm.config import StructuredOutputsConfig
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    is_cpu = current_platform.is_cpu()
    kv_cache_gib = settings.kv_cache_gib or (CPU_KV_CACHE_GIB if is_cpu else None)
    arguments = AsyncEngineArgs(
        model=str(model),
        max_model_len=settings.max_model_tokens,
        max_num_seqs=settings.max_concurrent,
        kv_cache_memory_bytes=int(kv_cache_gib * _GIB) if kv_cache_gib else None,
        gpu_memory_utilization=settings.gpu_memory_share,
        # Compiling the model takes longer than two dozen items.
        dtype=_cpu_number_type() if is_cpu else "auto",
        enforce_eager=is_cpu,
        # Prompts differ only in their last line.
        enable_prefix_caching=True,
        # A small model left free to write white space writes little else.
        structured_outputs_config=StructuredOutputsConfig(
            backend="xgrammar", disable_any_whitespace=True
        ),
        distributed_executor_backend="uni" if is_cpu else None,
        use_tqdm_on_load=False,
        disable_log_stats=True,
    )
    # One process beside ours is enough on a CPU; without this vLLM starts a second one there.
    with _environment({"VLLM_ENABLE_V1_MULTIPROCESSING": "0"} if is_cpu else {}):
        return AsyncLLM.from_engine_args(arguments)


def _cpu_number_type() -> Literal["bfloat16", "float32"]:
    """Half precision is emulated, four times slower, on a CPU without instructions for it."""
    import torch

    can = torch.cpu.get_capabilities()
    is_half_fast = any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bfloat16" if is_half_fast else "float32"


def _variables(settings: KnowledgeSettings) -> dict[str, str]:
    """What vLLM reads from the environment. Its threads are not bound to cores others work on."""
    return {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(settings.num_threads),
        "TOKENIZERS_PARALLELISM": "false",
    }


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Variables for the import of vLLM and for the process it starts, and then as before."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                with suppress(KeyError):
                    del os.environ[name]
            else:
                os.environ[name] = value


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
