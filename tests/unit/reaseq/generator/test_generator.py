"""`reaseq.generator`: training, sampling and the model folder, through the generator's own face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from reaseq.artifacts import MANIFEST_FILE
from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.popularity import Popularity
from reaseq.events import EventType
from reaseq.generator.behaviours import generated_rows
from reaseq.generator.generator import DiffusionGenerator
from reaseq.generator.model import DiffusionModel
from reaseq.schemas import GENERATED_SCHEMA
from reaseq.sequences.orders import orders_of
from reaseq.sequences.state import SequenceState
from reaseq.types import DAY_MS
from tests.unit.reaseq.generator.world import ITEMS, SETTINGS, sequences, trained


def random_generator(**changes: object) -> DiffusionGenerator:
    torch.manual_seed(0)
    settings = SETTINGS.model_copy(update=changes)
    return DiffusionGenerator.of(DiffusionModel(len(ITEMS), settings), ITEMS, version="g7")


def ask(generator: DiffusionGenerator, rows: pa.Table) -> list[list[str]]:
    at_ms = np.zeros(rows.num_rows, np.int64)
    lists: list[list[str]] = generator.generate(rows, at_ms)["item_ids"].to_pylist()
    return lists


def test_it_overfits_a_tiny_world() -> None:
    """What follows is filled in, for each of the two beginnings."""
    generator = DiffusionGenerator.of(trained(), ITEMS)
    one, other = ask(generator, sequences(["i0"], ["i4"]))
    assert (set(one), set(other)) == ({"i1", "i2", "i3"}, {"i5", "i6", "i7"})


def test_no_logged_item_and_none_twice() -> None:
    """Whatever the weights: what is generated lies beyond the whole log."""
    generator = random_generator(num_generated=8, num_events=2)
    logged = ["i1", "i2", "i3", "i4", "i5"]
    (made,) = ask(generator, sequences(logged))
    assert not set(made) & set(logged)
    assert len(set(made)) == len(made) == 7


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_same_question_has_the_same_answer_in_any_company(temperature: float) -> None:
    """Deterministic, and a row does not depend on the batch it happens to be in."""
    generator = random_generator(temperature=temperature)
    rows = sequences(["i1"], ["i2", "i3"], [], ["i4", "i9", "i1", "i0"])
    together = ask(generator, rows)
    assert ask(generator, rows) == together
    assert [ask(generator, rows.slice(n, 1))[0] for n in range(4)] == together


def test_probabilities_fall_and_lie_in_bounds() -> None:
    """Most probable first."""
    answer = random_generator().generate(sequences(["i1"]), np.zeros(1, np.int64))
    values = answer["probabilities"][0].as_py()
    assert values == sorted(values, reverse=True)
    assert all(0 < value <= 1 for value in values)


def test_users_without_events_or_known_items_get_nothing() -> None:
    """An empty list each, in their place."""
    assert ask(random_generator(), sequences([], ["unheard of"])) == [[], []]


def test_a_loaded_generator_answers_like_the_saved_one(tmp_path: Path) -> None:
    """And a folder without its manifest is no generator."""
    generator = random_generator()
    generator.save(tmp_path)
    rows = sequences(["i1"], ["i2"])
    loaded = DiffusionGenerator.load(tmp_path)
    assert ask(loaded, rows) == ask(generator, rows)
    assert loaded.version == "g7"
    (tmp_path / MANIFEST_FILE).unlink()
    with pytest.raises(ValueError, match="no complete model"):
        DiffusionGenerator.load(tmp_path)


def test_generated_rows_hold_their_provenance() -> None:
    """Version of the sequence, partition, offset, model; who got nothing has no row."""
    rows = sequences(["i1", "i2"], [])
    answer = random_generator().generate(rows, np.zeros(2, np.int64))
    stored = generated_rows(
        answer, rows, model_version="g7", generated_at_ms=5, positions=[(3, 40), (-1, 0)]
    )
    assert stored.schema == GENERATED_SCHEMA
    (one,) = stored.to_pylist()
    assert (one["partition"], one["next_offset"], one["revision"]) == (3, 40, 2)
    assert (one["model_version"], one["newest_event_time_ms"]) == ("g7", 2 * DAY_MS)


def test_generated_behaviours_can_enter_no_log_sequence_or_count() -> None:
    """Everything that takes events refuses their table; no event type stands for them."""
    rows = sequences(["i1"])
    answer = random_generator().generate(rows, np.zeros(1, np.int64))
    stored = generated_rows(answer, rows, model_version="g7", generated_at_ms=5, positions=[(0, 0)])
    with pytest.raises((KeyError, ValueError, pa.ArrowInvalid)):
        SequenceState().merge(stored)
    with pytest.raises((KeyError, ValueError, pa.ArrowInvalid)):
        orders_of(stored)
    for learner in (CoOccurrence(ITEMS), Popularity(ITEMS)):
        with pytest.raises((KeyError, ValueError, pa.ArrowInvalid)):
            learner.observe(stored)
    assert "generated" not in [kind.value for kind in EventType]
