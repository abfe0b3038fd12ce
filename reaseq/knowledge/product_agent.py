"""The product agent: one item in, what it is and who needs it out, in one call to a language model.

Reasoning first, as far as a small model can: it says what the item is before it says who needs it,
when, where and why, so each answer builds on those before it. Turns with other items show the form.

What a shop writes is data. It reaches the model as one JSON object of plain text, and whatever the
model makes of it has to pass the schema, the decoder and the critic.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import msgspec

from reaseq.events import Item
from reaseq.knowledge.critique import CRITIC_VERSION, critique
from reaseq.knowledge.item_knowledge import (
    MAX_ANSWER_LENGTH,
    Answers,
    ItemKnowledge,
    KnowledgeKey,
    answers_schema,
    content_hash,
)
from reaseq.knowledge.plain_text import plain_text
from reaseq.knowledge.text_generator import Prompt, TextGenerator

MAX_TITLE_LENGTH = 160
MAX_DESCRIPTION_LENGTH = 400
"""Longer texts are cut: what an item is stands at the start."""

SYSTEM = (
    "You know what is sold in shops. For each item you answer six questions in short phrases: "
    "what it is, who needs it, when, where, why, and with what it is used. Answer in JSON."
)

EXAMPLES: tuple[tuple[str, Answers], ...] = (
    (
        "Stainless steel garlic press",
        Answers(
            what="a steel press that crushes garlic",
            who="home cooks",
            when="while cooking dinner",
            where="in the kitchen",
            why="to season food quickly without a knife",
            with_what="garlic, a chopping board and a pan",
        ),
    ),
)


def _clock_ms() -> int:
    return int(time.time() * 1000)


class ProductAgent:
    """Finds out about one item at a time; `run` may run many times at once."""

    def __init__(self, generator: TextGenerator, *, clock_ms: Callable[[], int] = _clock_ms):
        self._generator = generator
        self._clock_ms = clock_ms

    def key(self, item: Item) -> KnowledgeKey:
        """What the answer will depend on."""
        hash_of_item = content_hash(item.title, item.description)
        return KnowledgeKey(hash_of_item, PROMPT_VERSION, self._generator.model)

    async def run(self, item: Item) -> ItemKnowledge:
        """Ask the model and judge its answer; what is not usable comes back as rejected.

        Raises TextGenerationError when the model gave no answer: try again later.
        """
        key = self.key(item)
        generation = await self._generator.generate(prompt_for(item), answers_schema())
        answers, reason = _judge(generation.text, item)
        stored = msgspec.structs.asdict(answers) if answers else {}
        return ItemKnowledge(
            item_id=item.item_id,
            **{name: plain_text(answer, MAX_ANSWER_LENGTH) for name, answer in stored.items()},
            **key._asdict(),
            num_prompt_tokens=generation.num_prompt_tokens,
            num_tokens=generation.num_tokens,
            duration_s=generation.duration_s,
            verdict="rejected" if reason else "accepted",
            reason=reason,
            event_time_ms=self._clock_ms(),
        )


def prompt_for(item: Item) -> Prompt:
    """The question about one item; nothing the shop wrote can leave its JSON object."""
    told = {"title": _as_written(plain_text(item.title, MAX_TITLE_LENGTH))}
    if item.description:
        told["description"] = plain_text(item.description, MAX_DESCRIPTION_LENGTH)
    shown = [
        (_json({"title": title}), msgspec.json.encode(answers).decode())
        for title, answers in EXAMPLES
    ]
    return Prompt(SYSTEM, _json(told), tuple(shown))


def _judge(text: str, item: Item) -> tuple[Answers | None, str | None]:
    """The answers, if they have the right shape, and why they are rejected, if they are."""
    try:
        answers = msgspec.json.decode(text, type=Answers)
    except (msgspec.MsgspecError, UnicodeError) as error:
        return None, f"not the JSON that was asked for: {plain_text(str(error), 200)}"
    return answers, critique(answers, item.title, [answers for _, answers in EXAMPLES])


def _as_written(title: str) -> str:
    """Small letters for a title that shouts: models know the words in that form."""
    return title.capitalize() if title.isupper() else title


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _version_of_prompt() -> str:
    """Changes whenever anything the model is given, or is judged by, does."""
    shown = [(title, msgspec.structs.asdict(answers)) for title, answers in EXAMPLES]
    content = [SYSTEM, shown, answers_schema(), MAX_TITLE_LENGTH, MAX_DESCRIPTION_LENGTH]
    named = json.dumps([content, CRITIC_VERSION], sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()[:12]


PROMPT_VERSION = _version_of_prompt()
"""Names the prompt and the critic by their content, so it cannot be forgotten."""
