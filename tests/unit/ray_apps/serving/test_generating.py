"""`ray_apps.serving.generating`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps.serving.generating import GeneratorService
from tests.unit.ray_apps.serving.fakes import FakeRegistry, ToyGenerator, sequence_of


def load(folder: Path) -> ToyGenerator:
    return ToyGenerator(folder.name)


def table(*users: str) -> pa.Table:
    return pa.concat_tables([sequence_of(user, ("tea", 5)) for user in users])


def test_several_requests_are_answered_from_one_batch() -> None:
    """Each with its own users' rows, in their order."""
    generators: list[ToyGenerator] = []

    def load_and_keep(folder: Path) -> ToyGenerator:
        generators.append(load(folder))
        return generators[-1]

    service = GeneratorService(FakeRegistry("v1"), load_and_keep)
    answers = service.generate([table("a", "b"), table("c")])
    users = [answer and answer.answer["user_id"].to_pylist() for answer in answers]
    assert users == [["a", "b"], ["c"]]
    assert [answer and answer.model_version for answer in answers] == ["v1", "v1"]
    assert generators[0].num_rows == [3]


def test_without_a_generator_every_request_gets_none() -> None:
    """Until one is promoted."""
    registry = FakeRegistry()
    service = GeneratorService(registry, load)
    assert service.generate([table("a"), table("b")]) == [None, None]
    assert service.version is None
    registry.promote("v1")
    service.step()
    assert service.version == "v1"
    (answer,) = service.generate([table("a")])
    assert answer is not None
    assert answer.answer["item_ids"].to_pylist() == [["v1:a"]]


def test_a_failed_step_is_said_and_closing_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There is nothing to close but the background."""
    service = GeneratorService(FakeRegistry("v1"), load)
    with caplog.at_level(logging.ERROR, "ray.serve"):
        service.failed(ValueError("odd"))
    assert "odd" in caplog.text
    asyncio.run(service.close())
