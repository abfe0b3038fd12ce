"""A trained ranker, ready to score: from Arrow sequences to numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from reaseq.ranker.batches import to_batch
from reaseq.ranker.folder import KIND, RankerManifest, StoredModel, load_model, save_model
from reaseq.ranker.model import Batch, EncodedCandidates, RankerModel
from reaseq.ranker.trends import ItemTrends
from reaseq.sequences.orders import orders_of
from reaseq.sequences.padded import pad_generated, pad_sequences
from reaseq.training.device import on_device
from reaseq.types import DAY_MS, Float32s, Int64s
from reaseq.vocabulary import ItemVocabulary


class RankerInputs(NamedTuple):
    """What a ranking may use beside the log; leaving a part out shows what it is worth."""

    knowledge: bool = True
    generated: bool = True


ALL_INPUTS = RankerInputs()

ByKnowledge = Mapping[bool, EncodedCandidates]
"""The same items with what agents say about them about them and without."""

_ROWS_AT_ONCE = 4
"""Rows scored together against the whole catalogue: the attention's [B, L, C] stays in cache."""


class Ranker:
    """Scores items for user sequences. Not for use from several threads at once."""

    def __init__(self, stored: StoredModel, device: str = "cpu") -> None:
        """`device` is where it computes: `cpu`, `cuda`, `cuda:1` …"""
        self.manifest: RankerManifest = stored.manifest
        self.vocabulary: ItemVocabulary = stored.vocabulary
        self._stored = stored
        self._model = stored.model.eval().to(device)
        self._device = torch.device(device)
        self._trends = stored.trends
        with torch.inference_mode():
            known_ND = self._model.items()
            plain_ND = self._model.items(stored.plain_text.to(device))
            codes_N = torch.arange(len(known_ND), device=device)
            self._items = {
                knowledge: self._model.candidates(codes_N, items_ND)
                for knowledge, items_ND in ((True, known_ND), (False, plain_ND))
            }

    @classmethod
    def of(
        cls,
        model: RankerModel,
        vocabulary: ItemVocabulary,
        trends: ItemTrends | None = None,
        *,
        version: str = "unversioned",
        trained_up_to_ms: int = 0,
        feature_service: str = "ranker_v1",
        metrics: Mapping[str, float] | None = None,
    ) -> Ranker:
        """A ranker straight from `fit`; `trends` as `order_trends` gave it, None starts afresh."""
        settings = model.settings
        manifest = RankerManifest(
            kind=KIND,
            version=version,
            trained_up_to_ms=trained_up_to_ms,
            settings=settings,
            feature_service=feature_service,
            num_items=len(vocabulary),
            metrics=dict(metrics or {}),
        )
        trends = trends or ItemTrends(len(vocabulary), settings.trend_half_lives_days)
        return cls(StoredModel(manifest, model, vocabulary, trends, model.text))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Ranker:
        """Read a model folder. Raises InputError when it holds no complete ranker."""
        return cls(load_model(folder), device)

    def save(self, folder: Path) -> None:
        """Write the model folder, with the trends as they stand now."""
        save_model(folder, self._stored)

    @property
    def version(self) -> str:
        """The name of the model."""
        return self.manifest.version

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """Logits [B, num_items] of the whole vocabulary, in its order.

        `sequences` has B rows of SEQUENCE_SCHEMA, with generated behaviours beside them where
        there are any (`with_generated`); `at_ms` [B] is the moment of the ranking, from which the
        age of each event is taken.
        """
        return self.score_candidates(sequences, at_ms, np.arange(1, len(self.vocabulary) + 1))

    def score_candidates(
        self, sequences: pa.Table, at_ms: Int64s, codes: Int64s, parts: RankerInputs = ALL_INPUTS
    ) -> Float32s:
        """Logits [B, len(codes)] of the items with these codes (see `vocabulary.encode`).

        Code 0, an unknown item, gets -inf. `parts` leaves knowledge or generated behaviours out.
        """
        candidates = self.candidates(codes, [parts])
        return self.score_ablations(sequences, at_ms, candidates, [parts])[parts]

    def candidates(self, codes: Int64s, ablations: Sequence[RankerInputs]) -> ByKnowledge:
        """The items with these codes, as `score_ablations` takes them for some choices of parts."""
        places = torch.from_numpy(np.asarray(codes, np.int64)).to(self._device)
        return {parts.knowledge: self._items[parts.knowledge].take(places) for parts in ablations}

    def score_ablations(
        self,
        sequences: pa.Table,
        at_ms: Int64s,
        candidates: ByKnowledge,
        ablations: Sequence[RankerInputs],
    ) -> dict[RankerInputs, Float32s]:
        """`score_candidates` for several choices of parts at once, for hardly more than one."""
        at_ms = np.asarray(at_ms, np.int64)
        codes = next(iter(candidates.values())).codes.cpu().numpy()
        settings = self.manifest.settings
        padded = pad_sequences(sequences, self.vocabulary, settings.num_events)
        generated = pad_generated(sequences, self.vocabulary, settings.num_generated)
        shape = (sequences.num_rows, len(codes))
        scores = {parts: np.empty(shape, np.float32) for parts in ablations}
        for start in range(0, sequences.num_rows, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            batch = to_batch(
                padded.rows(rows), generated.rows(rows), at_ms[rows], self._trends_at(at_ms[rows])
            )
            for parts, logits in self._score(batch, candidates, ablations):
                scores[parts][rows] = logits
        for values in scores.values():
            values[:, codes == 0] = -np.inf
        return scores

    def _score(
        self, batch: Batch, candidates: ByKnowledge, ablations: Sequence[RankerInputs]
    ) -> Iterator[tuple[RankerInputs, Float32s]]:
        batch = on_device(batch, self._device)
        for knowledge in sorted({parts.knowledge for parts in ablations}):
            items_ND = self._items[knowledge].items
            with torch.inference_mode():
                logged_BC, generated_BC = self._model.terms(batch, candidates[knowledge], items_ND)
            for parts in ablations:
                if parts.knowledge == knowledge:
                    if parts.generated and generated_BC is not None:
                        yield parts, (logged_BC + generated_BC).cpu().numpy()
                    else:
                        yield parts, logged_BC.cpu().numpy()

    def observe(self, events: pa.Table) -> None:
        """Keep the demand for items (`reaseq.ranker.trends`) up to date; weights do not change."""
        orders = orders_of(events)
        if orders.num_rows:
            lists = orders["label_item_ids"]
            codes = self.vocabulary.encode(pc.list_flatten(lists))
            times_ms = orders["label_time_ms"].to_numpy()[pc.list_parent_indices(lists).to_numpy()]
            self._trends.observe(codes, times_ms)

    def scorer_for(self, item_ids: Sequence[str]) -> RankerScorer:
        """This ranker as a scorer over another list of items."""
        return RankerScorer(self, item_ids)

    def _trends_at(self, at_ms: Int64s) -> Float32s:
        days, row_of = np.unique(at_ms // DAY_MS, return_inverse=True)
        return np.stack([self._trends.features(int(day)) for day in days])[row_of]


class RankerScorer:
    """A ranker over a given list of items: what the evaluation asks for.

    An item outside the ranker's vocabulary scores -inf.
    """

    def __init__(self, ranker: Ranker, item_ids: Sequence[str]) -> None:
        self.ranker = ranker
        self.item_ids = tuple(item_ids)
        self._codes = ranker.vocabulary.encode(list(item_ids))
        self._asked: tuple[RankerInputs, ...] = (ALL_INPUTS,)
        self._candidates = ranker.candidates(self._codes, self._asked)
        self._last: tuple[pa.Table, dict[RankerInputs, Float32s]] | None = None

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """[B, len(item_ids)]; see `reaseq.evaluation.prequential.Scorer`."""
        return self.score_ablation(ALL_INPUTS, sequences, at_ms)

    def observe(self, events: pa.Table) -> None:
        """See `Ranker.observe`."""
        self.ranker.observe(events)
        self._last = None

    def ablation(self, parts: RankerInputs) -> RankerAblation:
        """The same ranker, left without some of its parts."""
        self._asked = tuple(dict.fromkeys((*self._asked, parts)))
        self._candidates = self.ranker.candidates(self._codes, self._asked)
        return RankerAblation(self, parts)

    def ablations(self) -> dict[str, RankerScorer | RankerAblation]:
        """With both parts, with none, and with one of them, by name."""
        return {
            "ranker": self,
            "ranker_plain": self.ablation(RankerInputs(knowledge=False, generated=False)),
            "ranker_knowledge": self.ablation(RankerInputs(generated=False)),
            "ranker_generated": self.ablation(RankerInputs(knowledge=False)),
        }

    def score_ablation(self, parts: RankerInputs, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """As `score`. All ablations are computed when the first one is asked about a table."""
        if self._last is None or self._last[0] is not sequences:
            scores = self.ranker.score_ablations(sequences, at_ms, self._candidates, self._asked)
            self._last = sequences, scores
        return self._last[1][parts]


class RankerAblation:
    """A ranker without some of its parts, beside the whole one: what a part is worth.

    It has no `observe`: it learns when the whole one does.
    """

    def __init__(self, whole: RankerScorer, parts: RankerInputs) -> None:
        self._whole = whole
        self._parts = parts

    def score(self, sequences: pa.Table, at_ms: Int64s) -> Float32s:
        """[B, len(item_ids)]; see `reaseq.evaluation.prequential.Scorer`."""
        return self._whole.score_ablation(self._parts, sequences, at_ms)
