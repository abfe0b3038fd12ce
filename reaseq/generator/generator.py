"""The behaviour generator, ready to be asked: from Arrow sequences to generated behaviours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch

from reaseq.generator.batches import to_context
from reaseq.generator.folder import (
    KIND,
    GeneratorManifest,
    StoredGenerator,
    load_generator,
    save_generator,
)
from reaseq.generator.model import DiffusionModel
from reaseq.generator.sampler import Filled, sample
from reaseq.sequences.hashing import hash64
from reaseq.sequences.padded import PaddedSequences, pad_sequences
from reaseq.training.device import on_device
from reaseq.types import Bools, Int64s
from reaseq.vocabulary import ItemVocabulary

ANSWER_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_ids", pa.list_(pa.string()), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64()), nullable=False),
    ]
)
"""What `generate` gives: one row per sequence, most probable behaviour first."""

_ROWS_AT_ONCE = 64
"""Rows generated for together: bounds the logits [B, num_items] in memory."""


class BehaviourGenerator(Protocol):
    """Infers what a user plausibly did or wants that no log holds."""

    @property
    def version(self) -> str:
        """The name of the model."""
        ...

    @property
    def trained_up_to_ms(self) -> int:
        """The time of the newest event the model has learnt from."""
        ...

    def generate(self, sequences: pa.Table, at_ms: Int64s) -> pa.Table:
        """Generated behaviours, ANSWER_SCHEMA: one row for each of `sequences`, in their order.

        `sequences` has B rows of SEQUENCE_SCHEMA; `at_ms` [B] is the moment of each question, which
        a model may look at or not. No item of a row's sequence is among the answers, and none is
        there twice. A sequence without events, or with none of a known item, gets empty lists. The
        same model gives the same answer to the same question, whatever else is asked with it.
        """
        ...


class DiffusionGenerator:
    """The native `BehaviourGenerator`. Its answers depend on the sequences, not on `at_ms`."""

    def __init__(self, stored: StoredGenerator, seed: int = 0, device: str = "cpu") -> None:
        """`seed` matters only where the settings ask for a temperature above 0.

        `device` is where it computes: `cpu`, `cuda`, `cuda:1` …
        """
        self.manifest: GeneratorManifest = stored.manifest
        self.vocabulary: ItemVocabulary = stored.vocabulary
        self.seed = seed
        self._stored = stored
        self._model = stored.model.eval().to(device)
        self._device = torch.device(device)

    @classmethod
    def of(
        cls,
        model: DiffusionModel,
        vocabulary: ItemVocabulary,
        *,
        version: str = "unversioned",
        trained_up_to_ms: int = 0,
        metrics: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> DiffusionGenerator:
        """A generator straight from `fit`."""
        manifest = GeneratorManifest(
            kind=KIND,
            version=version,
            trained_up_to_ms=trained_up_to_ms,
            settings=model.settings,
            num_items=len(vocabulary),
            metrics=dict(metrics or {}),
        )
        return cls(StoredGenerator(manifest, model, vocabulary), seed)

    @classmethod
    def load(cls, folder: Path, seed: int = 0, device: str = "cpu") -> DiffusionGenerator:
        """Read a model folder. Raises InputError when it holds no complete one."""
        return cls(load_generator(folder), seed, device)

    def save(self, folder: Path) -> None:
        """Write the model folder."""
        save_generator(folder, self._stored)

    @property
    def version(self) -> str:
        """See `BehaviourGenerator`."""
        return self.manifest.version

    @property
    def trained_up_to_ms(self) -> int:
        """See `BehaviourGenerator`."""
        return self.manifest.trained_up_to_ms

    def generate(self, sequences: pa.Table, at_ms: Int64s) -> pa.Table:
        """See `BehaviourGenerator`."""
        if not sequences.num_rows:
            return ANSWER_SCHEMA.empty_table()
        starts = range(0, sequences.num_rows, _ROWS_AT_ONCE)
        return pa.concat_tables([self._generate(sequences.slice(s, _ROWS_AT_ONCE)) for s in starts])

    def _generate(self, sequences: pa.Table) -> pa.Table:
        settings = self.manifest.settings
        whole = pad_sequences(sequences, self.vocabulary, np.iinfo(np.int64).max)
        known = np.asarray((whole.codes > 0).any(axis=1), np.bool_)
        newest = PaddedSequences(*(array[known, -settings.num_events :] for array in whole))
        with torch.inference_mode():
            filled = sample(
                self._model,
                on_device(to_context(newest), self._device),
                whole.codes[known],
                self._seeds(sequences.filter(pa.array(known))),
                num_steps=settings.num_denoising_steps,
                temperature=settings.temperature,
            )
        return self._answer(sequences["user_id"], known, filled)

    def _seeds(self, sequences: pa.Table) -> list[list[int]]:
        """What the noise of each row is made from: the seed, the user, the sequence's version."""
        users = hash64(sequences["user_id"]).view(np.uint64).tolist()
        newest = sequences["newest_event_time_ms"].to_pylist()
        revisions = sequences["revision"].to_pylist()
        return [[self.seed, *row] for row in zip(users, newest, revisions, strict=True)]

    def _answer(self, user_ids: pa.ChunkedArray, known: Bools, filled: Filled) -> pa.Table:
        codes = filled.codes.cpu().numpy()
        probabilities = filled.probabilities.double().cpu().numpy()
        lengths = np.zeros(len(known), np.int64)
        lengths[known] = (codes > 0).sum(axis=1)
        offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
        item_ids = pa.array(self.vocabulary.decode(codes[codes > 0]), pa.string())
        lists = [item_ids, pa.array(probabilities[codes > 0])]
        arrays = [pa.ListArray.from_arrays(offsets, values) for values in lists]
        return pa.table([user_ids, *arrays], schema=ANSWER_SCHEMA)
