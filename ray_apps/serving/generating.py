"""The behaviour generator behind its deployment: one model, several requests in one batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ray_apps.serving.champion import Champions, ChampionWatcher
from reaseq.generator.generator import BehaviourGenerator

logger = logging.getLogger("ray.serve")


class GeneratorAnswer(NamedTuple):
    """An answer: generated behaviours (`ANSWER_SCHEMA`) and the version that made them."""

    answer: pa.Table
    model_version: str


class GeneratorService:
    """Answers with the champion among the generators; None before there is one."""

    def __init__(self, registry: Champions, load: Callable[[Path], BehaviourGenerator]) -> None:
        """Loads the champion, if there is one."""
        self._champions = ChampionWatcher(registry, load)
        self._champions.look()

    @property
    def version(self) -> str | None:
        """The version that answers."""
        return self._champions.version

    def generate(self, tables: Sequence[pa.Table]) -> list[GeneratorAnswer | None]:
        """Generate for the users of several requests at once; each is a table of sequences."""
        generator = self._champions.model
        if generator is None:
            return [None] * len(tables)
        joined = pa.concat_tables(tables)
        answer = generator.generate(joined, joined["newest_event_time_ms"].to_numpy())
        answers: list[GeneratorAnswer | None] = []
        start = 0
        for table in tables:
            answers.append(GeneratorAnswer(answer.slice(start, table.num_rows), generator.version))
            start += table.num_rows
        return answers

    def step(self) -> None:
        """Look for a new champion."""
        self._champions.look()

    def failed(self, error: Exception) -> None:
        """A step has failed and will be tried again."""
        logger.error("the generator goes on with what it has", exc_info=error)

    async def close(self) -> None:
        """Nothing is held."""
