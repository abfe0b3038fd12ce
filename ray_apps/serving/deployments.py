"""The Serve deployments: each is a shell that builds its service and passes calls on.

A service sees the other deployments as plain callables, so nothing behind the shells knows Ray.
"""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import torch
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from ray_apps.runtime.in_thread import in_thread
from ray_apps.serving.generating import GeneratorAnswer
from ray_apps.serving.knowledge import KnowledgeProgress
from ray_apps.serving.ports import Ports
from ray_apps.serving.replica import Replica
from ray_apps.serving.routes import build_api
from ray_apps.serving.services import (
    behaviour_refresher,
    generator_service,
    knowledge_worker,
    language_model,
    recommender_service,
    request_handler,
)
from ray_apps.settings import Settings
from reaseq.knowledge.text_generator import Generation, Prompt
from reaseq.recommendation.slate import Scene, Slate

INTERVAL_S = 0.5
"""Between two looks at the log: a moment is nothing against how long what is made stays true."""

WATCH_INTERVAL_S = 1.0
"""How often the generator looks for a new champion."""

LOAD_RETRY_S, MAX_LOAD_RETRY_S = 5.0, 30.0
"""Until a language model that could not be loaded is tried again, at first and at most."""

NICENESS = 10
"""On a CPU, text generation takes what the stream and the recommender leave."""


@serve.ingress()
class Gateway(Replica):
    """HTTP for people and programs."""

    def __init__(
        self,
        settings: Settings,
        recommender: DeploymentHandle[Any],
        others: dict[str, DeploymentHandle[Any]],
    ) -> None:
        """`others` are the parts that no request waits for, by the name of their deployment."""
        parts = {"recommender": recommender, **others}
        versions = {name: part.model_version.remote for name, part in parts.items()}
        self._handler = request_handler(Ports(settings), recommender.recommend.remote, versions)
        self.hold(self._handler)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve after the constructor."""
        return build_api(self._handler)


class RecommenderReplica(Replica):
    """Slates by the champion among the rankers."""

    def __init__(self, settings: Settings) -> None:
        self._service = recommender_service(Ports(settings))
        self.run(self._service, self._service.step, INTERVAL_S)

    async def recommend(self, sequence: pa.Table, scene: Scene, k: int) -> Slate:
        """See `RecommenderService.recommend`."""
        return await self._service.recommend(sequence, scene, k)

    async def model_version(self) -> str | None:
        """The champion this replica serves with."""
        return self._service.version


class GeneratorReplica(Replica):
    """Generated behaviours by the champion among the generators, requests gathered into batches."""

    def __init__(self, settings: Settings) -> None:
        # Whole batches in one thread each: with more, replicas on one machine fight for its cores.
        torch.set_num_threads(1)
        batching: Any = self.generate  # the decorator adds setters that its type leaves out
        batching.set_max_batch_size(settings.generation.max_batch_size)
        batching.set_batch_wait_timeout_s(settings.generation.batch_wait_timeout_s)
        self._service = generator_service(Ports(settings))
        self.run(self._service, self._service.step, WATCH_INTERVAL_S)

    @serve.batch
    async def generate(self, tables: list[pa.Table]) -> list[GeneratorAnswer | None]:
        """See `GeneratorService.generate`; a caller sends one table."""
        return await in_thread(self._service.generate, tables)

    async def model_version(self) -> str | None:
        """The version this replica answers with."""
        return self._service.version


class BehaviourFollower(Replica):
    """Refreshes generated behaviours; one replica follows all partitions."""

    def __init__(self, settings: Settings, generator: DeploymentHandle[Any]) -> None:
        self._service = behaviour_refresher(Ports(settings), generator.generate.remote)
        self.run(self._service, self._service.step, INTERVAL_S)

    async def model_version(self) -> str | None:
        """None: it has no model of its own."""
        return None

    async def num_generated(self) -> int:
        """Users generated for since this replica started."""
        return self._service.num_generated

    async def num_waiting(self) -> int:
        """Users whose new events have not been looked at yet."""
        return self._service.num_waiting


class LlmReplica(Replica):
    """The language model."""

    def __init__(self, settings: Settings) -> None:
        if not settings.pools.llm.num_gpus:
            os.nice(NICENESS)
        self._service = service = language_model(Ports(settings))
        self.run(
            service,
            service.load,
            LOAD_RETRY_S,
            max_backoff_s=MAX_LOAD_RETRY_S,
            until=lambda: service.is_loaded,
        )

    async def generate(self, prompt: Prompt, schema: dict[str, object]) -> Generation:
        """See `TextGenerator`."""
        return await self._service.generate(prompt, schema)

    async def model(self) -> str | None:
        """The model's name, None until it is loaded."""
        return self._service.model

    async def reason(self) -> str:
        """Why there is no model yet; empty when there is one."""
        return self._service.reason

    async def check_health(self) -> None:
        """Serve replaces a replica whose engine has died."""
        await self._service.check_health()


class KnowledgeFollower(Replica):
    """Item knowledge; one replica follows the items."""

    def __init__(self, settings: Settings, llm: DeploymentHandle[Any] | None) -> None:
        ask = llm.generate.remote if llm is not None else None
        self._service = knowledge_worker(Ports(settings), ask)
        self.run(self._service, self._service.step, INTERVAL_S)

    async def progress(self) -> KnowledgeProgress:
        """How far the agents are."""
        return self._service.progress()

    async def model_version(self) -> str | None:
        """The language model whose knowledge this is."""
        return self._service.model
