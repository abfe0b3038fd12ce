"""`reaseq.candidates.sources`: which sources a model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pytest

from reaseq.candidates.generated import GeneratedItems
from reaseq.candidates.popularity import Popularity
from reaseq.candidates.source import Candidates, CandidateSource
from reaseq.candidates.sources import SOURCES, load_sources, save_sources
from reaseq.recommendation.recommender import Recommender
from reaseq.schemas import SEQUENCE_SCHEMA
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["tea", "cup", "pot"])


class LastItem(CandidateSource):
    """A toy source: always proposes the last item of the vocabulary."""

    name: ClassVar[str] = "last"

    def __init__(self, vocabulary: ItemVocabulary) -> None:
        self.vocabulary = vocabulary

    def candidates(self, sequence: pa.Table, num: int) -> Candidates:
        return Candidates(self.name, np.array([len(self.vocabulary)]), np.ones(1, np.float32))

    @classmethod
    def load(cls, folder: Path, vocabulary: ItemVocabulary) -> Self:
        return cls(vocabulary)


def test_sources_come_back_in_their_order(tmp_path: Path) -> None:
    """The folder says which sources it holds; a request asks them in that order."""
    save_sources(tmp_path, [GeneratedItems(ITEMS), Popularity(ITEMS)])
    assert [type(s) for s in load_sources(tmp_path, ITEMS)] == [GeneratedItems, Popularity]


def test_a_source_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    """Leaving it out silently would change what is recommended."""
    save_sources(tmp_path, [LastItem(ITEMS), Popularity(ITEMS)])
    with pytest.raises(ValueError, match="last"):
        load_sources(tmp_path, ITEMS)


def test_another_source_is_one_class_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is saved, loaded, learns with the others and is named in the folder."""
    monkeypatch.setitem(SOURCES, LastItem.name, LastItem)
    Recommender(ITEMS, [LastItem(ITEMS), Popularity(ITEMS)], None).save(tmp_path)
    loaded = Recommender.load(tmp_path)
    found = loaded.sources[0].candidates(SEQUENCE_SCHEMA.empty_table(), 5)
    assert ITEMS.decode(found.codes) == ["pot"]


def test_popularity_is_no_choice(tmp_path: Path) -> None:
    """Without it an unknown user would get nothing."""
    with pytest.raises(ValueError, match="popularity"):
        Recommender(ITEMS, [LastItem(ITEMS)], None)
