"""`reaseq.representations.text_encoder`, on the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reaseq.representations.text_encoder import CACHE_FILE, DIMENSION, SentenceEncoder

TEXTS = ["RED WOOLLY HOT WATER BOTTLE", "a white hot water bottle in a knitted cover", "TOY TRAIN"]


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the vectors of TEXTS."""
    folder = tmp_path_factory.mktemp("vectors")
    SentenceEncoder(folder, num_threads=1).encode(TEXTS)
    return folder


def test_like_texts_get_like_vectors_of_length_one(cache_folder: Path) -> None:
    """Two bottles are closer than a bottle and a train, whatever the batch they came in."""
    vectors = SentenceEncoder(cache_folder).encode(TEXTS)
    assert vectors.shape == (3, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_only_new_texts_are_encoded_and_progress_is_told(cache_folder: Path) -> None:
    """What the folder holds is not encoded again, and a doubled text counts once."""
    told: list[tuple[int, int]] = []
    encoder = SentenceEncoder(cache_folder, num_threads=1, batch_size=1)
    before = encoder.encode(TEXTS)
    after = encoder.encode([*TEXTS, "LUNCH BOX", "LUNCH BOX"], lambda *done: told.append(done))
    assert told == [(1, 1)]
    assert (after[:3] == before).all()
    assert (after[3] == after[4]).all()


def test_padding_does_not_change_a_vector(cache_folder: Path) -> None:
    """A text alone and a text in a batch of longer ones get the same vector."""
    alone = SentenceEncoder(num_threads=1).encode(TEXTS[2:])
    assert np.abs(alone[0] - SentenceEncoder(cache_folder).encode(TEXTS)[2]).max() < 1e-5


def test_without_texts_there_is_nothing_to_load(tmp_path: Path) -> None:
    """No texts, no vectors, no cache."""
    assert SentenceEncoder(tmp_path).encode([]).shape == (0, DIMENSION)
    assert not (tmp_path / CACHE_FILE).exists()
