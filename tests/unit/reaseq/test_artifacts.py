"""`reaseq.artifacts`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from reaseq.artifacts import (
    FORMAT,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Manifest,
    is_complete,
    read_manifest,
    read_trained_up_to_ms,
    read_vocabulary,
    read_weights,
    save_artifact,
    writing,
)
from reaseq.settings import Section
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b"])


class ShapeSettings(Section):
    size: int = 3


def manifest_of(**changes: object) -> Manifest[ShapeSettings]:
    fields = {
        "kind": "shape",
        "version": "v0007",
        "trained_up_to_ms": 5,
        "settings": ShapeSettings(size=4),
        "num_items": 2,
        "metrics": {"ndcg": 0.25},
        **changes,
    }
    return Manifest[ShapeSettings].model_validate(fields)


def model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete model."""
    save_artifact(tmp_path / "v0007", manifest_of(), model(), ITEMS)
    return tmp_path / "v0007"


def edit(folder: Path, **changes: object) -> None:
    """Change the stored manifest by hand."""
    stored = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**stored, **changes}))


def test_what_is_read_is_what_was_saved(folder: Path) -> None:
    """Manifest with settings of their type, vocabulary, weights; and libraries by themselves."""
    manifest = read_manifest(folder, "shape", ShapeSettings)
    assert manifest == manifest_of(created_at=manifest.created_at)
    assert manifest.settings == ShapeSettings(size=4)
    assert {"torch", "python"} <= set(manifest.libraries)
    assert read_vocabulary(folder, manifest) == ITEMS
    empty = nn.Linear(4, 2)
    read_weights(folder, empty)
    assert torch.equal(empty.weight, model().weight)
    assert not empty.training


def test_a_write_that_is_cut_off_is_never_loaded(folder: Path) -> None:
    """Neither the new model nor the old one, of which files may be overwritten."""

    def cut_off() -> None:
        with writing(folder):
            assert not is_complete(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert not is_complete(folder)
    with pytest.raises(ValueError, match="no complete model"):
        read_manifest(folder, "shape", ShapeSettings)


def test_a_model_that_cannot_be_written_leaves_no_manifest(folder: Path) -> None:
    """The weights fail after the old manifest is gone."""
    (folder / WEIGHTS_FILE).unlink()
    (folder / WEIGHTS_FILE).mkdir()
    with pytest.raises(Exception, match="directory"):
        save_artifact(folder, manifest_of(), model(), ITEMS)
    assert not is_complete(folder)


@pytest.mark.parametrize(
    ("found", "what_to_do"),
    [(FORMAT + 1, "update reaseq"), (FORMAT - 1, "train a new model"), ("x", "cannot be read")],
)
def test_a_foreign_format_is_refused(folder: Path, found: object, what_to_do: str) -> None:
    """Better no answer than a misread one, whatever else a foreign manifest holds."""
    edit(folder, format=found)
    with pytest.raises(ValueError, match=what_to_do):
        read_manifest(folder, "shape", ShapeSettings)


def test_a_model_of_another_kind_is_refused_by_name(folder: Path) -> None:
    """It says what the folder holds and what was asked for."""
    with pytest.raises(ValueError, match="holds a shape, not a ranker"):
        read_manifest(folder, "ranker", ShapeSettings)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 3', '{"settings": {"width": 1}}'])
def test_a_damaged_manifest_names_its_file(folder: Path, content: str) -> None:
    """The message says what cannot be read."""
    (folder / MANIFEST_FILE).write_text(content)
    with pytest.raises(ValueError, match=MANIFEST_FILE):
        read_manifest(folder, "shape", ShapeSettings)


def test_an_unknown_setting_is_refused(folder: Path) -> None:
    """A newer version's setting might change what the weights mean."""
    edit(folder, settings={"size": 4, "depth": 2})
    with pytest.raises(ValueError, match="depth"):
        read_manifest(folder, "shape", ShapeSettings)


def test_the_vocabulary_of_another_model_is_refused(folder: Path) -> None:
    """Copied together from two folders."""
    ItemVocabulary(["a", "b", "c"]).save(folder)
    with pytest.raises(ValueError, match="mixes two models: its vocabulary has 3"):
        read_vocabulary(folder, read_manifest(folder, "shape", ShapeSettings))


def test_the_weights_of_another_model_are_refused(folder: Path) -> None:
    """Their shapes do not fit."""
    with pytest.raises(ValueError, match="mixes two models"):
        read_weights(folder, nn.Linear(5, 2))


def test_how_new_a_model_is_can_be_read_whatever_its_kind(folder: Path) -> None:
    """A retraining asks without knowing the settings."""
    assert read_trained_up_to_ms(folder) == 5
