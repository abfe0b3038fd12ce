"""The model folder of a behaviour generator.

manifest.json       what made it: settings, data, metrics, versions
weights.safetensors trained weights
vocabulary.json     the item of each code
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file

from reaseq.generator.model import DiffusionModel
from reaseq.generator.settings import GeneratorSettings
from reaseq.vocabulary import ItemVocabulary

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"

FORMAT = 1
"""Rises when an older reader could misread a folder."""


class GeneratorManifest(BaseModel):
    """Where a generator is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """The generator's own name, unique in a registry."""
    created_at: datetime
    trained_up_to_ms: int
    """The time of the newest event it was trained on."""
    settings: GeneratorSettings
    num_items: int
    metrics: dict[str, float] = {}
    libraries: dict[str, str] = {}
    format: int = FORMAT


class StoredGenerator(NamedTuple):
    """The parts of a model folder."""

    manifest: GeneratorManifest
    model: DiffusionModel
    vocabulary: ItemVocabulary


def save_generator(folder: Path, stored: StoredGenerator) -> None:
    """Write a model folder, making it if needed. The manifest is written last.

    A folder without a manifest is no generator, so a write that was cut off is never loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    weights = {name: value.contiguous() for name, value in stored.model.state_dict().items()}
    save_file(weights, folder / WEIGHTS_FILE)
    stored.vocabulary.save(folder)
    manifest = stored.manifest.model_dump_json(indent=2)
    (folder / MANIFEST_FILE).write_text(manifest, encoding="utf-8")


def read_manifest(folder: Path) -> GeneratorManifest:
    """The manifest alone. Raises ValueError when the folder holds no generator that can be read."""
    path = folder / MANIFEST_FILE
    try:
        manifest = GeneratorManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no {MANIFEST_FILE}: no complete generator") from None
    except ValidationError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if manifest.format > FORMAT:
        raise ValueError(f"{folder} has format {manifest.format}: update reaseq to read it")
    return manifest


def load_generator(folder: Path) -> StoredGenerator:
    """Read what `save_generator` wrote; raises ValueError as `read_manifest` does."""
    manifest = read_manifest(folder)
    vocabulary = ItemVocabulary.load(folder)
    if len(vocabulary) != manifest.num_items:
        raise ValueError(f"{folder} mixes two models: its vocabulary has {len(vocabulary)} items")
    with torch.device("cpu"):
        model = DiffusionModel(manifest.num_items, manifest.settings)
    model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return StoredGenerator(manifest, model.eval(), vocabulary)
