"""The model folder of a behaviour generator: what `reaseq.artifacts` says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch

from reaseq.artifacts import Manifest, read_manifest, read_vocabulary, read_weights, save_artifact
from reaseq.generator.model import DiffusionModel
from reaseq.generator.settings import GeneratorSettings
from reaseq.vocabulary import ItemVocabulary

KIND = "generator"

GeneratorManifest: TypeAlias = Manifest[GeneratorSettings]


class StoredGenerator(NamedTuple):
    """The parts of a model folder."""

    manifest: GeneratorManifest
    model: DiffusionModel
    vocabulary: ItemVocabulary


def save_generator(folder: Path, stored: StoredGenerator) -> None:
    """Write a model folder, making it if needed; see `reaseq.artifacts.save_artifact`."""
    save_artifact(folder, stored.manifest, stored.model, stored.vocabulary)


def load_generator(folder: Path) -> StoredGenerator:
    """Read what `save_generator` wrote. Raises InputError where there is no complete generator."""
    manifest = read_manifest(folder, KIND, GeneratorSettings)
    vocabulary = read_vocabulary(folder, manifest)
    with torch.device("cpu"):
        model = DiffusionModel(manifest.num_items, manifest.settings)
    read_weights(folder, model)
    return StoredGenerator(manifest, model, vocabulary)
