"""The folder of any trained model: what made it, its weights, its vocabulary.

manifest.json       what made it: kind, settings, data, feature service, metrics, versions
weights.safetensors trained weights
vocabulary.json     the item of each code

What else a kind of model needs lies in files of its own beside them. The manifest is written last
and removed first: a folder without one is not a model, so a write that was cut off is never loaded.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from reaseq.errors import InputError
from reaseq.files import sync, write_atomically
from reaseq.vocabulary import ItemVocabulary

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"

FORMAT = 3
"""Rises when an older reader could misread a folder."""

SettingsT = TypeVar("SettingsT", bound=BaseModel)


def library_versions() -> dict[str, str]:
    """The versions a model depends on, for its manifest."""
    libraries = {name: version(name) for name in ("torch", "numpy", "safetensors", "pyarrow")}
    return {"python": platform.python_version(), **libraries}


class Manifest(BaseModel, Generic[SettingsT]):
    """Where a model is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """What kind of model it is, e.g. `ranker`."""
    version: str
    """The model's own name, unique in a registry."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    trained_up_to_ms: int
    """The time of the newest event it was trained on."""
    settings: SettingsT
    feature_service: str | None = None
    """The features it reads when it serves, if they have a name."""
    num_items: int
    metrics: Mapping[str, float] = {}
    libraries: Mapping[str, str] = Field(default_factory=library_versions)
    format: int = FORMAT


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A model folder to write files into, made if needed; a manifest it holds is removed first.

    On the way out every file is brought to disk, so that a manifest written after it tells the
    truth even after a power cut.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    sync(folder)
    yield folder
    for file in folder.iterdir():
        if file.is_file():
            sync(file)


def save_artifact(
    folder: Path, manifest: Manifest[Any], model: nn.Module, vocabulary: ItemVocabulary
) -> None:
    """Complete a model folder: weights, vocabulary, and the manifest as the last of all files.

    Files of the kind's own must be written before.
    """
    with writing(folder):
        weights = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)
        vocabulary.save(folder)
    write_atomically(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2).encode())


def is_complete(folder: Path) -> bool:
    """Whether a model was written into the folder to the end."""
    return (folder / MANIFEST_FILE).exists()


def read_manifest(folder: Path, kind: str, settings: type[SettingsT]) -> Manifest[SettingsT]:
    """The manifest of a model of a kind whose settings are of the type `settings`.

    Raises InputError when the folder holds no such model that can be read.
    """
    path = folder / MANIFEST_FILE
    stored = _read_json(path)
    found = stored.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise InputError(f"{folder} has format {found}: update reaseq to read it")
    if isinstance(found, int) and found < FORMAT:
        raise InputError(f"{folder} has the old format {found}: train a new model")
    if stored.get("kind", kind) != kind:
        raise InputError(f"{folder} holds a {stored['kind']}, not a {kind}: give another version")
    try:
        # By its type, because a parametrised generic model is a class made at run time.
        manifest: Manifest[SettingsT] = Manifest[settings].model_validate(stored)  # type: ignore[valid-type]
    except ValidationError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return manifest


def read_trained_up_to_ms(folder: Path) -> int:
    """The time of the newest event that a model was trained on, whatever its kind."""
    stored = _read_json(folder / MANIFEST_FILE)
    return int(stored["trained_up_to_ms"])


def read_vocabulary(folder: Path, manifest: Manifest[Any]) -> ItemVocabulary:
    """The vocabulary of a model. Raises InputError when it is another model's."""
    vocabulary = ItemVocabulary.load(folder)
    if len(vocabulary) != manifest.num_items:
        raise InputError(
            f"{folder} mixes two models: its vocabulary has {len(vocabulary)} items, its manifest "
            f"{manifest.num_items}"
        )
    return vocabulary


def read_weights(folder: Path, model: nn.Module) -> None:
    """Fill a model of the same shape with the stored weights, and put it in evaluation mode."""
    try:
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except RuntimeError as error:
        raise InputError(f"{folder} mixes two models: {error}") from None
    model.eval()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent} holds no {path.name}: it is no complete model") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(stored, dict):
        raise InputError(f"{path} cannot be read: it holds no object")
    return stored
