"""Which language model the settings and the machine come to, without loading any."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from ray_apps.runtime.progress import Stages
from ray_apps.settings import Settings
from ray_apps.text_generation import choose, smollm2
from ray_apps.text_generation.choose import available, open_text_generator, prepare
from ray_apps.text_generation.openai_compatible import EndpointTextGenerator
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import TextGenerationError
from tests.printing import keeping_console, printed

ENDPOINT = KnowledgeSettings(
    source="endpoint", base_url="https://host/v1", model="large", api_key=SecretStr("hush")
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """What is installed here; a test may take it away."""
    has = {"vllm": True, "smollm2": True}
    monkeypatch.setattr(
        choose.importlib.util, "find_spec", lambda name: object() if has[name] else None
    )
    monkeypatch.setattr(smollm2, "is_installed", lambda: has["smollm2"])
    return has


@pytest.fixture
def stages() -> Stages:
    return Stages(keeping_console())


@pytest.mark.parametrize("source", ["none", "recorded", "vllm"])
def test_a_source_that_is_named_is_taken(source: str, machine: dict[str, bool]) -> None:
    """Also where it cannot run: an error is better than another model's answers."""
    machine.update(vllm=False, smollm2=False)
    assert available(KnowledgeSettings.model_validate({"source": source})).source == source


def test_an_endpoint_is_named_by_model_and_address_alone(machine: dict[str, bool]) -> None:
    """Never with its key."""
    choice = available(ENDPOINT)
    assert (choice.source, choice.model) == ("endpoint", "large")
    assert choice.why == "large at https://host/v1"


@pytest.mark.parametrize(
    ("installed", "source", "why"),
    [
        ({}, "vllm", "SmolLM2-135M-Instruct in vLLM"),
        ({"vllm": False}, "recorded", "vLLM is not installed: what ships with the package is used"),
        ({"smollm2": False}, "recorded", "SmolLM2-135M-Instruct is not installed"),
    ],
)
def test_by_itself_it_takes_what_the_machine_can_run(
    installed: dict[str, bool], source: str, why: str, machine: dict[str, bool]
) -> None:
    """And says why it is not the model where it is not."""
    machine.update(installed)
    choice = available(KnowledgeSettings())
    assert choice.source == source
    assert why in choice.why


def test_a_model_of_ones_own_needs_no_packaged_one(
    machine: dict[str, bool], tmp_path: Path
) -> None:
    """Provenance names a folder by its last part."""
    machine.update(smollm2=False)
    (tmp_path / "my-model").mkdir()
    choice = available(KnowledgeSettings(model=str(tmp_path / "my-model")))
    assert (choice.source, choice.model) == ("vllm", "my-model")


def test_an_endpoint_is_opened_without_vllm(machine: dict[str, bool], tmp_path: Path) -> None:
    """Its model's name is the provenance."""
    machine.update(vllm=False)
    generator = open_text_generator(ENDPOINT, tmp_path)
    assert isinstance(generator, EndpointTextGenerator)
    assert generator.model == "large"


def test_the_packaged_model_is_prepared_once(
    machine: dict[str, bool], tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bar; what is prepared already, and any other source, costs nothing."""
    made: list[Path] = []
    monkeypatch.setattr(smollm2, "prepare", lambda folder, progress: made.append(folder))
    monkeypatch.setattr(smollm2, "is_prepared", lambda folder: bool(made))
    settings = Settings(home=tmp_path)
    for _ in range(2):
        prepare(settings, stages)
    assert len(made) == 1
    assert list(stages.seconds) == ["language_model"]
    prepare(settings.model_copy(update={"knowledge": ENDPOINT}), stages)
    assert len(made) == 1


def test_a_model_that_cannot_be_prepared_stops_nothing(
    machine: dict[str, bool], tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system runs without knowledge, and the reason is shown."""

    def fail(folder: Path, progress: object) -> None:
        raise TextGenerationError("the package is damaged: install it again")

    monkeypatch.setattr(smollm2, "prepare", fail)
    monkeypatch.setattr(smollm2, "is_prepared", lambda folder: False)
    prepare(Settings(home=tmp_path), stages)
    shown = printed(stages._console)
    assert "no knowledge for now: the package is damaged: install it again" in shown
