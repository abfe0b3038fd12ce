"""`ray_apps.serving.replica`: the background of a deployment and its end."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from ray_apps.serving.deployments import (
    BehaviourFollower,
    Gateway,
    GeneratorReplica,
    KnowledgeFollower,
    LlmReplica,
    RecommenderReplica,
)
from ray_apps.serving.replica import Replica

# Serve awaits `__del__`; then Python calls it once more, and nobody awaits what that returns.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine '.*__del__' was never awaited")


class Service:
    """Counts its steps and notes in which order things happen."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def step(self) -> None:
        self.happened.append("step")
        raise ValueError("odd")

    def failed(self, error: Exception) -> None:
        self.happened.append(str(error))

    async def close(self) -> None:
        self.happened.append("closed")


class Shell(Replica):
    def __init__(self, service: Service) -> None:
        self.run(service, service.step, 0.001)


def test_a_replica_steps_until_it_goes_and_then_closes_its_service_once() -> None:
    """Errors go to the service; no step runs after it was closed; a second end does nothing."""
    service = Service()

    async def story() -> None:
        shell = Shell(service)
        while service.happened.count("odd") < 3:
            await asyncio.sleep(0.001)
        await shell.__del__()
        await shell.__del__()
        await asyncio.sleep(0.02)

    asyncio.run(story())
    assert service.happened[:2] == ["step", "odd"]
    assert service.happened.index("closed") == len(service.happened) - 1


def test_a_replica_whose_constructor_failed_can_still_go() -> None:
    """Serve calls its end all the same."""
    asyncio.run(Shell.__new__(Shell).__del__())


def test_every_deployment_closes_in_the_way_that_serve_awaits() -> None:
    """An ingress awaits the end of its class only where that is a coroutine function."""
    shells = (
        BehaviourFollower,
        Gateway,
        GeneratorReplica,
        KnowledgeFollower,
        LlmReplica,
        RecommenderReplica,
    )
    for shell in shells:
        assert issubclass(shell, Replica)
        assert inspect.iscoroutinefunction(shell.__del__)
