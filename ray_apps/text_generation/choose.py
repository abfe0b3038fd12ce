"""Which language model the settings and this machine come to, and why."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal, NamedTuple

from ray_apps.runtime.home import Home
from ray_apps.runtime.progress import Stages
from ray_apps.settings import Settings
from ray_apps.text_generation import smollm2
from ray_apps.text_generation.openai_compatible import EndpointTextGenerator
from ray_apps.text_generation.vllm_engine import VllmTextGenerator
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import TextGenerationError, TextGenerator


class Choice(NamedTuple):
    """Where knowledge will come from; `why` is a line for people."""

    source: Literal["vllm", "endpoint", "recorded", "none"]
    model: str
    why: str


def available(settings: KnowledgeSettings) -> Choice:
    """Decide without loading anything. A source that the settings name is never second-guessed."""
    model = settings.model_name or smollm2.NAME
    match settings.source:
        case "none":
            return Choice("none", "", "switched off (knowledge.source)")
        case "recorded":
            return Choice("recorded", "recorded", "what ships with the package")
        case "endpoint":
            return Choice("endpoint", model, f"{model} at {settings.base_url}")
        case "vllm":
            return Choice("vllm", model, f"{model} in vLLM")
    missing = _missing(settings)
    if missing:
        why = f"{missing}: what ships with the package is used"
        return Choice("recorded", "recorded", why)
    return Choice("vllm", model, f"{model} in vLLM")


def open_text_generator(settings: KnowledgeSettings, home: Path) -> TextGenerator:
    """Load what `available` chose; for vLLM that blocks for half a minute or more.

    Raises TextGenerationError with what to do when it does not load.
    """
    if available(settings).source == "endpoint":
        return EndpointTextGenerator(settings)
    if settings.model is not None:
        return VllmTextGenerator.start(settings.model, settings)
    return VllmTextGenerator.start(smollm2.prepare(Home(home).language_models), settings)


def prepare(settings: Settings, stages: Stages) -> None:
    """Do what the chosen model needs once, before it can be loaded, with a bar.

    When that fails, the reason is shown and nothing else: the system runs without knowledge.
    """
    knowledge, folder = settings.knowledge, Home(settings.home).language_models
    is_packaged = available(knowledge).source == "vllm" and knowledge.model is None
    if not is_packaged or smollm2.is_prepared(folder):
        return
    try:
        with stages.stage("language_model", f"Prepare {smollm2.NAME}, once") as stage:
            smollm2.prepare(folder, stage.at)
    except TextGenerationError as error:
        stages.say(f"no knowledge for now: {error}")


def _missing(settings: KnowledgeSettings) -> str | None:
    if importlib.util.find_spec("vllm") is None:
        return "vLLM is not installed"
    if settings.model is None and not smollm2.is_installed():
        return f"{smollm2.NAME} is not installed"
    return None
