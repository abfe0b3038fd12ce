"""A folder of models has versions in order and at most one champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.models import Models


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models")


def complete(models: Models, version: str) -> None:
    """Leave a model folder as training does: the manifest comes last."""
    folder = models.folder_of(version)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")


def test_there_is_nothing_before_the_first_training(models: Models) -> None:
    """No folder yet: no versions, no champion, and the first name."""
    assert models.versions() == []
    assert models.champion is None
    assert models.next_version() == "v0001"


def test_versions_are_numbered_in_the_order_they_come(models: Models) -> None:
    """The next name is after all others, and gaps are not filled."""
    for version in ("v0002", "v0001", "v0009"):
        complete(models, version)
    assert models.versions() == ["v0001", "v0002", "v0009"]
    assert models.next_version() == "v0010"


def test_a_name_given_by_hand_does_not_disturb_the_numbers(models: Models) -> None:
    """A model may have any name; only numbered ones count."""
    complete(models, "v0003")
    complete(models, "best")
    assert models.next_version() == "v0004"
    models.promote("best")
    assert models.champion == "best"


def test_a_promotion_is_seen_by_everyone_who_shares_the_folder(
    models: Models, tmp_path: Path
) -> None:
    """The latest promotion counts, and going back is a promotion too."""
    complete(models, "v0001")
    complete(models, "v0002")
    other = Models(tmp_path / "models")
    for version in ("v0001", "v0002", "v0001"):
        models.promote(version)
        assert other.champion == version


def test_an_unknown_version_is_not_promoted(models: Models) -> None:
    """The message lists what there is, and the champion stays."""
    with pytest.raises(ValueError, match="no model v0001; there are none"):
        models.promote("v0001")
    complete(models, "v0001")
    models.promote("v0001")
    with pytest.raises(ValueError, match="no model v0002; there are v0001"):
        models.promote("v0002")
    assert models.champion == "v0001"


def test_an_unfinished_model_is_no_version(models: Models) -> None:
    """Training that was killed leaves a folder without a manifest; it cannot serve."""
    models.folder_of("v0001").mkdir(parents=True)
    assert models.versions() == []
    with pytest.raises(ValueError, match="no model v0001"):
        models.promote("v0001")


def test_promoting_leaves_nothing_unfinished(models: Models, tmp_path: Path) -> None:
    """The pointer is replaced whole: beside the models there is one file."""
    complete(models, "v0001")
    models.promote("v0001")
    files = [path.name for path in (tmp_path / "models").iterdir() if path.is_file()]
    assert files == ["champion"]
