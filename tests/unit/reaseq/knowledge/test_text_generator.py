"""The prompt as chat turns, and the fake that stands in for a language model."""

from __future__ import annotations

import asyncio

import pytest

from reaseq.errors import UnavailableError
from reaseq.knowledge.text_generator import Prompt, ScriptedTextGenerator, TextGenerationError

ASK = Prompt("be brief", "a mug", (("a plate", "for cake"),))


def test_a_prompt_is_chat_turns_in_order() -> None:
    """The system first, the question last, examples between as asked and answered."""
    turns = [(turn["role"], turn["content"]) for turn in ASK.messages()]
    assert turns == [
        ("system", "be brief"),
        ("user", "a plate"),
        ("assistant", "for cake"),
        ("user", "a mug"),
    ]


def test_a_script_is_read_in_the_order_of_the_calls() -> None:
    """Counts of tokens are words; what was asked is kept."""
    generator = ScriptedTextGenerator(["for tea", TextGenerationError("down")])
    first = asyncio.run(generator.generate(ASK, {}))
    assert (first.text, first.num_tokens, first.num_prompt_tokens) == ("for tea", 2, 4)
    with pytest.raises(TextGenerationError, match="down"):
        asyncio.run(generator.generate(ASK, {}))
    assert generator.prompts == [ASK, ASK]


def test_a_script_that_has_run_out_fails_like_a_model_that_is_down() -> None:
    """And that is something a caller can wait for."""
    with pytest.raises(UnavailableError, match="no more answers"):
        asyncio.run(ScriptedTextGenerator([]).generate(ASK, {}))


def test_calls_at_once_are_counted() -> None:
    """A call that fails or is cancelled runs no longer."""
    generator = ScriptedTextGenerator(lambda prompt: "yes", delay_s=10)

    async def three_cancelled() -> None:
        tasks = [asyncio.ensure_future(generator.generate(ASK, {})) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(three_cancelled())
    assert (generator.max_running, generator.num_running) == (3, 0)
