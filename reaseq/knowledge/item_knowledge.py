"""What an agent says about one item, with where it is from.

Six answers: what the item is, who needs it, when, where, why, and with what. Knowledge is kept per
(item content, prompt version, model): the same key is never asked twice, whatever the verdict was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import msgspec
import pyarrow as pa

from reaseq.schemas import KNOWLEDGE_SCHEMA

MIN_ANSWER_LENGTH = 3
MAX_ANSWER_LENGTH = 120
"""In characters: a phrase, not an essay."""

_START = r'[^\x00-\x20\x7f,;:."\\<>{}|`\[\]]'
_SIGN = r'[^\x00-\x1f\x7f,;:."\\<>{}|`\[\]]'
PHRASE = f"^{_START}{_SIGN}{{2,69}}$"
"""One phrase of 3 to 70 characters. Where no comma can follow, a small model comes to an end."""
PHRASES = f"^{_START}{_SIGN}{{2,37}}(, {_START}{_SIGN}{{2,37}}){{0,2}}$"
"""One to three short phrases, 3 to 118 characters together."""

QUESTIONS = ("what", "who", "when", "where", "why", "with_what")
"""The answers' names in the order in which they are given: first what it is, the rest follows."""

Verdict = Literal["accepted", "rejected"]
AnswerText = Annotated[
    str, msgspec.Meta(min_length=MIN_ANSWER_LENGTH, max_length=MAX_ANSWER_LENGTH)
]


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model has to return: six short texts and nothing else."""

    what: AnswerText
    who: AnswerText
    when: AnswerText
    where: AnswerText
    why: AnswerText
    with_what: AnswerText


def answers_schema() -> dict[str, object]:
    """What a model is held to, stricter than `Answers`: the form of phrases, bounded in length.

    The bounds are in the patterns, because not every grammar takes both. An endpoint that ignores
    patterns does no harm: what it returns has to fit `Answers` all the same.
    """
    patterns = dict.fromkeys(QUESTIONS, PHRASE) | {"with_what": PHRASES}
    return {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": p} for name, p in patterns.items()},
        "required": list(QUESTIONS),
        "additionalProperties": False,
    }


class KnowledgeKey(NamedTuple):
    """What knowledge depends on; a change of any part asks for new knowledge."""

    content_hash: str
    prompt_version: str
    model: str


class ItemKnowledge(msgspec.Struct, frozen=True, kw_only=True):
    """One item's answers and their provenance.

    What was rejected is kept with the `reason`; where the model returned no JSON of the right shape
    the answers are empty. `event_time_ms` is when it was made, `duration_s` what the call took.
    """

    item_id: str
    what: str = ""
    who: str = ""
    when: str = ""
    where: str = ""
    why: str = ""
    with_what: str = ""
    content_hash: str
    prompt_version: str
    model: str
    num_prompt_tokens: int
    num_tokens: int
    duration_s: float
    verdict: Verdict
    reason: str | None = None
    event_time_ms: int

    @property
    def key(self) -> KnowledgeKey:
        """What it depends on."""
        return KnowledgeKey(self.content_hash, self.prompt_version, self.model)

    @property
    def is_accepted(self) -> bool:
        """Whether it may be used."""
        return self.verdict == "accepted"

    @property
    def has_answers(self) -> bool:
        """Whether the model returned JSON of the right shape, accepted or not."""
        return bool(self.what)

    def text(self) -> str:
        """The answers as text for the sentence encoder. Raises ValueError for rejected ones."""
        if not self.is_accepted:
            raise ValueError(f"knowledge of {self.item_id} was rejected: {self.reason}")
        return (
            f"{self.what}. For {self.who}, {self.when}, {self.where}, {self.why}. "
            f"With {self.with_what}."
        )


def content_hash(title: str, description: str | None) -> str:
    """Names what a shop says about an item; the same words always have the same name."""
    content = json.dumps([title, description])
    return hashlib.sha256(content.encode()).hexdigest()


def knowledge_table(knowledge: Iterable[ItemKnowledge]) -> pa.Table:
    """Rows of KNOWLEDGE_SCHEMA."""
    rows = [msgspec.structs.asdict(one) for one in knowledge]
    return pa.Table.from_pylist(rows, schema=KNOWLEDGE_SCHEMA)


def knowledge_of(table: pa.Table) -> list[ItemKnowledge]:
    """What `knowledge_table` wrote, in order."""
    return [msgspec.convert(row, ItemKnowledge) for row in table.to_pylist()]


def texts_of(table: pa.Table) -> dict[str, str]:
    """The text of every item whose knowledge was accepted, by item id (KNOWLEDGE_SCHEMA)."""
    return {one.item_id: one.text() for one in knowledge_of(table) if one.is_accepted}
