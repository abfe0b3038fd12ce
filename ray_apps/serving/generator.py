"""The behaviour generator as a Serve deployment: one model, questions gathered into batches."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

import pyarrow as pa
import torch
from ray import serve

from ray_apps.registry.kinds import registry_of
from ray_apps.settings import Settings
from reaseq.generator.generator import DiffusionGenerator

logger = logging.getLogger("ray.serve")

WATCH_INTERVAL_S = 1.0
"""How often a replica looks for a new champion."""


class Generated(NamedTuple):
    """An answer: generated behaviours (`ANSWER_SCHEMA`) and the version that made them."""

    answer: pa.Table
    model_version: str


class GeneratorReplica:
    """Answers with the champion among the generators; None before there is one."""

    def __init__(self, settings: Settings) -> None:
        # Whole batches in one thread each: with more, replicas on one machine fight for its cores.
        torch.set_num_threads(1)
        self._models = registry_of(settings, "generator")
        self._device = settings.pools.generator.device
        self._generator: DiffusionGenerator | None = None
        self.generate.set_max_batch_size(settings.generation.max_batch_size)
        self.generate.set_batch_wait_timeout_s(settings.generation.batch_wait_timeout_s)
        try:
            self._look_for_champion()
        except Exception:
            logger.exception("the generator starts without a model")
        self._tasks = [asyncio.get_running_loop().create_task(self._watch())]

    @serve.batch  # type: ignore[untyped-decorator]
    async def generate(self, tables: list[pa.Table]) -> list[Generated | None]:
        """Generate for all users of several questions at once; each is a table of sequences."""
        generator = self._generator
        if generator is None:
            return [None] * len(tables)
        joined = pa.concat_tables(tables)
        at_ms = joined["newest_event_time_ms"].to_numpy()
        answer = await asyncio.to_thread(generator.generate, joined, at_ms)
        answers: list[Generated | None] = []
        start = 0
        for table in tables:
            part = answer.slice(start, table.num_rows)
            answers.append(Generated(part, generator.version))
            start += table.num_rows
        return answers

    async def model_version(self) -> str | None:
        """The version this replica answers with."""
        return self._generator.version if self._generator else None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                await asyncio.to_thread(self._look_for_champion)
            except Exception:
                logger.exception("the generator goes on with what it has")

    def _look_for_champion(self) -> None:
        version = self._models.champion
        held = self._generator.version if self._generator else None
        if version is not None and version != held:
            self._generator = DiffusionGenerator.load(
                self._models.folder_of(version), device=self._device
            )
