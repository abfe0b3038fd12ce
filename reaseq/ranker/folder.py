"""The model folder: everything that is needed to score, and to know where the model is from.

manifest.json       what made it: settings, data, feature service, metrics, versions
weights.safetensors trained weights
text.safetensors    text vectors of the items, with what is known of them and of the bare titles
vocabulary.json     the item of each row
trends.npz          demand for the items when training ended
"""

from __future__ import annotations

import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file

from reaseq.ranker.model import RankerModel
from reaseq.ranker.settings import RankerSettings
from reaseq.ranker.trends import ItemTrends
from reaseq.vocabulary import ItemVocabulary

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
TEXT_FILE = "text.safetensors"

FORMAT = 2
"""Rises when an older reader could misread a folder."""


class ModelManifest(BaseModel):
    """Where a model is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """The model's own name, unique in a registry."""
    created_at: datetime
    trained_up_to_ms: int
    """The time of the newest order it was trained on."""
    settings: RankerSettings
    feature_service: str
    num_items: int
    metrics: dict[str, float] = {}
    libraries: dict[str, str] = {}
    format: int = FORMAT


class StoredModel(NamedTuple):
    """The parts of a model folder."""

    manifest: ModelManifest
    model: RankerModel
    vocabulary: ItemVocabulary
    trends: ItemTrends
    plain_text: torch.Tensor
    """[N, T] by code: text vectors of the items without what agents found out about them."""


def library_versions() -> dict[str, str]:
    """The versions a model depends on, for its manifest."""
    libraries = {name: version(name) for name in ("torch", "numpy", "safetensors", "pyarrow")}
    return {"python": platform.python_version(), **libraries}


def save_model(folder: Path, stored: StoredModel) -> None:
    """Write a model folder, making it if needed. The manifest is written last.

    A folder without a manifest is no model, so a write that was cut off is never loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    model = stored.model
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS_FILE)
    texts = {"text": model.text.contiguous(), "plain_text": stored.plain_text.clone()}
    save_file(texts, folder / TEXT_FILE)
    stored.vocabulary.save(folder)
    stored.trends.save(folder)
    manifest = stored.manifest.model_dump_json(indent=2)
    (folder / MANIFEST_FILE).write_text(manifest, encoding="utf-8")


def read_manifest(folder: Path) -> ModelManifest:
    """The manifest alone. Raises ValueError when the folder holds no model that can be read."""
    try:
        text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
        manifest = ModelManifest.model_validate_json(text)
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no {MANIFEST_FILE}: it is no complete model") from None
    except ValidationError as error:
        raise ValueError(f"{folder / MANIFEST_FILE} cannot be read: {error}") from None
    if manifest.format > FORMAT:
        raise ValueError(f"{folder} has format {manifest.format}: update reaseq to read it")
    if manifest.format < FORMAT:
        raise ValueError(f"{folder} has the old format {manifest.format}: train a new model")
    return manifest


def load_model(folder: Path) -> StoredModel:
    """Read what `save_model` wrote; raises ValueError as `read_manifest` does."""
    manifest = read_manifest(folder)
    vocabulary = ItemVocabulary.load(folder)
    if len(vocabulary) != manifest.num_items:
        raise ValueError(f"{folder} mixes two models: its vocabulary has {len(vocabulary)} items")
    texts = load_file(folder / TEXT_FILE)
    with torch.device("cpu"):
        model = RankerModel(texts["text"], manifest.settings)
    model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    trends = ItemTrends.load(folder)
    return StoredModel(manifest, model.eval(), vocabulary, trends, texts["plain_text"])
