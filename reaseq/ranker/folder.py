"""The model folder of a ranker: what `reaseq.artifacts` says, and

text.safetensors    text vectors of the items, with what is known of them and of the bare titles
trends.npz          demand for the items when training ended
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from safetensors.torch import load_file, save_file

from reaseq.artifacts import (
    Manifest,
    read_manifest,
    read_vocabulary,
    read_weights,
    save_artifact,
    writing,
)
from reaseq.ranker.model import RankerModel
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import ItemTrends
from reaseq.vocabulary import ItemVocabulary

KIND = "ranker"
TEXT_FILE = "text.safetensors"

RankerManifest: TypeAlias = Manifest[RankerSettings]


class StoredModel(NamedTuple):
    """The parts of a model folder."""

    manifest: RankerManifest
    model: RankerModel
    vocabulary: ItemVocabulary
    trends: ItemTrends
    plain_text: torch.Tensor
    """[N, T] by code: text vectors of the items without what agents say about them."""


def save_model(folder: Path, stored: StoredModel) -> None:
    """Write a model folder, making it if needed; see `reaseq.artifacts.save_artifact`."""
    with writing(folder):
        text = stored.model.text.contiguous()
        save_file({"text": text, "plain_text": stored.plain_text.clone()}, folder / TEXT_FILE)
        stored.trends.save(folder)
    save_artifact(folder, stored.manifest, stored.model, stored.vocabulary)


def load_model(folder: Path) -> StoredModel:
    """Read what `save_model` wrote. Raises InputError when the folder holds no complete ranker."""
    manifest = read_manifest(folder, KIND, RankerSettings)
    vocabulary = read_vocabulary(folder, manifest)
    texts = load_file(folder / TEXT_FILE)
    with torch.device("cpu"):
        model = RankerModel(texts["text"], manifest.settings)
    read_weights(folder, model)
    return StoredModel(manifest, model, vocabulary, ItemTrends.load(folder), texts["plain_text"])
