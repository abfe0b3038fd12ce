"""One request: candidates from several sources, ranked, with the reason for each item.

A plain object; a deployment is a thin shell round it. Whatever is missing (a user's sequence, the
ranker), the answer is still a slate, and it says by name what it fell back on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.artifacts import is_complete, writing
from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.new_items import NewItems
from reaseq.candidates.popularity import Popularity
from reaseq.candidates.source import Candidates, CandidateSource
from reaseq.candidates.sources import load_sources, save_sources
from reaseq.events import EventType
from reaseq.ranker.ranker import Ranker
from reaseq.recommendation.settings import RecommenderSettings
from reaseq.recommendation.slate import (
    NEW,
    NO_GENERATED,
    NO_ORDER,
    NO_RANKER,
    UNKNOWN_USER,
    Scene,
    Slate,
    SlateItem,
)
from reaseq.schemas import GENERATED_ITEM_IDS, SEQUENCE_SCHEMA
from reaseq.types import Column, Int64s
from reaseq.vocabulary import ItemVocabulary

DEFAULTS = RecommenderSettings()

SourceT = TypeVar("SourceT", bound=CandidateSource)


class Recommender:
    """Candidates → rank → slate.

    `sources` propose and `ranker` decides; `popularity`, one of the sources, is the fallback. All
    of them share the `vocabulary`. Items that came later are in `new_items` and get the last
    places, where `nearest` says that they resemble what the user has.
    """

    def __init__(
        self,
        vocabulary: ItemVocabulary,
        sources: Sequence[CandidateSource],
        ranker: Ranker | None,
        settings: RecommenderSettings = DEFAULTS,
    ) -> None:
        """Raises ValueError when popularity is missing or the ranker has another vocabulary."""
        if ranker is not None and ranker.vocabulary != vocabulary:
            raise ValueError("ranker and candidates have different vocabularies: load one folder")
        self.vocabulary = vocabulary
        self.sources = tuple(sources)
        popularity = self._source(Popularity)
        if popularity is None:
            raise ValueError("popularity must be among the candidate sources: it is the fallback")
        self.popularity = popularity
        self.nearest = self._source(NearestItems)
        self.ranker = ranker
        self.settings = settings
        self.new_items = NewItems()

    def recommend(self, sequence: pa.Table | None, scene: str, k: int, at_ms: int) -> Slate:
        """The slate of `k` items for the one row of `sequence` (SEQUENCE_SCHEMA), or None.

        Generated behaviours stand beside the row (`with_generated`) where there are any. The slate
        is shorter than `k` only where the candidates run out. Raises ValueError for a scene
        that does not exist and for a `k` outside 1..max_k.
        """
        if scene not in list(Scene):
            raise ValueError(f"no scene {scene!r}; there are {', '.join(Scene)}")
        if not 1 <= k <= self.settings.max_k:
            raise ValueError(f"k is {k}; it must lie in 1..{self.settings.max_k}")
        asked = Scene(scene)
        row = _Row(sequence, self.vocabulary)
        order = row.newest_order() if asked is Scene.POST_BUY else None
        excluded = np.unique(order.codes) if order is not None else np.zeros(0, np.int64)
        if self.ranker is None:
            return self._popular(asked, k, excluded, NO_RANKER)
        if not (row.codes > 0).any():
            return self._popular(asked, k, excluded, UNKNOWN_USER)
        drawn = self._draw((order or row).table, excluded)
        ranked = self._rank(self.ranker, row.table, drawn, k, at_ms)
        new = self._new((order or row).table, min(self.settings.num_new_items, k - 1))
        items = (*ranked[: k - len(new)], *new)
        missing = []
        if asked is Scene.POST_BUY and order is None:
            missing.append(NO_ORDER)
        if self.ranker.manifest.settings.use_generated and not row.num_generated:
            missing.append(NO_GENERATED)
        return Slate(items, asked, self.ranker.version, tuple(missing))

    def observe(self, events: pa.Table) -> None:
        """Learn from purchases (EVENT_SCHEMA): popularity, co-occurrence, demand.

        Other events teach nothing. Each counts every time that it is given.
        """
        for source in self.sources:
            source.observe(events)
        if self.ranker is not None:
            self.ranker.observe(events)

    def save(self, folder: Path) -> None:
        """Write the candidate sources, and the ranker if there is one, into one model folder."""
        with writing(folder):
            save_sources(folder, self.sources)
            if self.ranker is None:
                self.vocabulary.save(folder)
        if self.ranker is not None:
            self.ranker.save(folder)  # the vocabulary too, and the manifest last

    @classmethod
    def load(
        cls, folder: Path, settings: RecommenderSettings = DEFAULTS, device: str = "cpu"
    ) -> Recommender:
        """Read a model folder with its candidate sources. Without a manifest there is no ranker.

        `device` is where the ranker computes.
        """
        ranker = Ranker.load(folder, device) if is_complete(folder) else None
        vocabulary = ranker.vocabulary if ranker else ItemVocabulary.load(folder)
        return cls(vocabulary, load_sources(folder, vocabulary), ranker, settings)

    def _source(self, kind: type[SourceT]) -> SourceT | None:
        """The source of a kind, if it is among them."""
        return next((source for source in self.sources if isinstance(source, kind)), None)

    def _draw(self, sequence: pa.Table, excluded: Int64s) -> dict[int, tuple[str, ...]]:
        """The sources of each candidate, by code."""
        drawn: dict[int, tuple[str, ...]] = {}
        for source in self.sources:
            found: Candidates = source.candidates(
                sequence, self.settings.num_candidates + len(excluded)
            )
            for code in found.codes[~np.isin(found.codes, excluded)].tolist():
                drawn[code] = (*drawn.get(code, ()), found.source)
        return drawn

    def _rank(
        self,
        ranker: Ranker,
        sequence: pa.Table,
        drawn: dict[int, tuple[str, ...]],
        k: int,
        at_ms: int,
    ) -> tuple[SlateItem, ...]:
        codes = np.fromiter(drawn, np.int64, len(drawn))
        scores = ranker.score_candidates(sequence, np.array([at_ms]), codes)[0]
        best = np.argsort(-scores, kind="stable")[:k]
        item_ids = self.vocabulary.decode(codes[best])
        return tuple(
            SlateItem(item_id, float(scores[i]), drawn[int(codes[i])])
            for item_id, i in zip(item_ids, best, strict=True)
        )

    def _new(self, sequence: pa.Table, num: int) -> tuple[SlateItem, ...]:
        """New items like what the user has."""
        if self.nearest is None:
            return ()
        recent = self.nearest.recent(sequence)
        similar = self.new_items.most_similar(recent, num, self.settings.min_similarity)
        return tuple(SlateItem(item_id, score, (NEW,)) for item_id, score in similar)

    def _popular(self, scene: Scene, k: int, excluded: Int64s, fallback: str) -> Slate:
        top = self.popularity.top(k + len(excluded))
        kept = np.flatnonzero(~np.isin(top.codes, excluded))[:k]
        item_ids = self.vocabulary.decode(top.codes[kept])
        items = tuple(
            SlateItem(item_id, float(score), (top.source,))
            for item_id, score in zip(item_ids, top.scores[kept], strict=True)
        )
        return Slate(items, scene, None, (fallback,))


class _Row:
    """The one user of a request: the row as a table, and its items as codes."""

    def __init__(self, sequence: pa.Table | None, vocabulary: ItemVocabulary) -> None:
        self.table = SEQUENCE_SCHEMA.empty_table() if sequence is None else sequence
        if self.table.num_rows > 1:
            raise ValueError("one request is one user: give a table of one row")
        lists = self.table.num_rows == 1 and self.table["item_ids"][0].is_valid
        self.item_ids: list[str] = self.table["item_ids"][0].as_py() if lists else []
        self.codes = vocabulary.encode(self.item_ids)
        self._vocabulary = vocabulary

    @property
    def num_generated(self) -> int:
        """How many behaviours were generated for the user."""
        if GENERATED_ITEM_IDS not in self.table.column_names or not self.table.num_rows:
            return 0
        return len(self.table[GENERATED_ITEM_IDS][0].as_py())

    def newest_order(self) -> _Row | None:
        """The row cut down to what was bought last, at one moment. None: nothing was bought."""
        if not self.item_ids:
            return None
        times_ms = np.array(self.table["event_times_ms"][0].as_py(), np.int64)
        types = np.array(self.table["event_types"][0].as_py())
        bought = types == EventType.PURCHASE.value
        if not bought.any():
            return None
        kept = np.flatnonzero(bought & (times_ms == times_ms[bought].max()))
        return _Row(_take_events(self.table, kept), self._vocabulary)


_EVENT_LISTS = frozenset(f.name for f in SEQUENCE_SCHEMA if pa.types.is_list(f.type))


def _take_events(sequence: pa.Table, positions: Int64s) -> pa.Table:
    """The row with only the events at `positions`; what is not an event's stays as it is."""
    columns: list[Column] = []
    for field in sequence.schema:
        column: Column = sequence[field.name]
        if field.name in _EVENT_LISTS:
            values = pc.list_flatten(column).take(pa.array(positions))
            column = pa.array([values.to_pylist()], field.type)
        columns.append(column)
    return pa.table(columns, schema=sequence.schema)
