"""Which language model the settings and this machine come to (provisional)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from reaseq.knowledge.settings import KnowledgeSettings


class Choice(NamedTuple):
    source: Literal["vllm", "endpoint", "recorded", "none"]
    model: str
    why: str


def available(settings: KnowledgeSettings) -> Choice:
    return Choice("none", "", "switched off")


def open_text_generator(settings: KnowledgeSettings, home: Path) -> Any:
    raise NotImplementedError
