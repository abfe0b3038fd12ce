"""`reaseq.diffusion`: training, sampling and the model folder, through the generator's own face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.popularity import Popularity
from reaseq.diffusion.behaviours import generated_rows
from reaseq.diffusion.fit import completion_losses, fit
from reaseq.diffusion.folder import MANIFEST_FILE
from reaseq.diffusion.generator import DiffusionGenerator
from reaseq.diffusion.model import BehaviourDiffusion
from reaseq.diffusion.settings import GeneratorSettings
from reaseq.diffusion.targets import with_targets
from reaseq.evaluation.orders import orders_of
from reaseq.events import EventType
from reaseq.ranker.fit import FitState
from reaseq.schemas import GENERATED_SCHEMA, SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.state import SequenceState
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary([f"i{n}" for n in range(12)])
SETTINGS = GeneratorSettings(
    learning_rate=1e-2,
    dimension=16,
    num_layers=1,
    num_heads=2,
    num_generated=3,
    num_epochs=120,
    dropout=0.0,
)
DAY_MS = 86_400_000


def row(user_id: str, items: list[str]) -> dict[str, object]:
    """A sequence of purchases, a day each."""
    times = [DAY_MS * (n + 1) for n in range(len(items))]
    return {
        "user_id": user_id,
        "item_ids": items,
        "event_types": ["purchase"] * len(items),
        "event_times_ms": times,
        "event_values": [1.0] * len(items),
        "event_keys": list(range(len(items))),
        "newest_event_time_ms": times[-1] if times else 0,
        "revision": len(items),
    }


def sequences(*items: list[str]) -> pa.Table:
    """One user a list."""
    rows = [row(f"u{n}", of_user) for n, of_user in enumerate(items)]
    return pa.Table.from_pylist(rows, schema=SEQUENCE_SCHEMA)


def training_rows() -> pa.Table:
    """A small world: after i0 come i1, i2, i3; after i4 come i5, i6, i7."""
    rows = [
        {**row(f"u{n}", [first]), "label_time_ms": 9 * DAY_MS, "label_item_ids": following}
        for n in range(8)
        for first, following in [("i0", ["i1", "i2", "i3"]), ("i4", ["i5", "i6", "i7"])]
    ]
    for n, one in enumerate(rows):
        one["user_id"] = f"u{n}"
    return pa.Table.from_pylist(rows, schema=TRAINING_SCHEMA)


def trained(**changes: object) -> BehaviourDiffusion:
    settings = SETTINGS.model_copy(update=changes)
    return fit(with_targets(training_rows(), settings.num_generated), ITEMS, settings, seed=1)


def random_generator(**changes: object) -> DiffusionGenerator:
    torch.manual_seed(0)
    settings = SETTINGS.model_copy(update=changes)
    return DiffusionGenerator.of(BehaviourDiffusion(len(ITEMS), settings), ITEMS, version="g7")


def ask(generator: DiffusionGenerator, rows: pa.Table) -> list[list[str]]:
    at_ms = np.zeros(rows.num_rows, np.int64)
    lists: list[list[str]] = generator.generate(rows, at_ms)["item_ids"].to_pylist()
    return lists


def test_it_overfits_a_tiny_world() -> None:
    """What follows is filled in, for each of the two beginnings."""
    generator = DiffusionGenerator.of(trained(), ITEMS)
    one, other = ask(generator, sequences(["i0"], ["i4"]))
    assert (set(one), set(other)) == ({"i1", "i2", "i3"}, {"i5", "i6", "i7"})


def test_resuming_after_an_epoch_ends_where_one_go_ends() -> None:
    """The same weights to the bit."""
    settings = SETTINGS.model_copy(update={"num_epochs": 3})
    rows = with_targets(training_rows(), settings.num_generated)
    states: list[FitState] = []

    def keep(_: object, state: FitState) -> None:
        buffers = {k: v.clone() for k, v in state["model"].items()}
        states.append({**state, "model": buffers})
        if len(states) == 2:
            raise InterruptedError

    whole = fit(rows, ITEMS, settings, seed=1)
    torch_state: FitState = {}
    with pytest.raises(InterruptedError):
        fit(rows, ITEMS, settings, seed=1, on_epoch=keep)
    torch_state = states[-1]
    resumed = fit(rows, ITEMS, settings, seed=1, resume=torch_state)
    for name, weights in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weights, rtol=0, atol=0)


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


def test_the_loss_of_a_row_is_the_mean_over_its_masked_slots() -> None:
    """By hand: 4 items, two slots masked of three, uniform logits: -log 1/4."""
    slots, masked = torch.tensor([[1, 2, 3]]), torch.tensor([[True, False, True]])
    losses = completion_losses(torch.zeros(1, 4), slots, masked)
    torch.testing.assert_close(losses, torch.tensor([4.0]).log())


def test_a_loaded_generator_answers_like_the_saved_one(tmp_path: Path) -> None:
    """And a folder without its manifest is no generator."""
    generator = random_generator()
    generator.save(tmp_path)
    rows = sequences(["i1"], ["i2"])
    loaded = DiffusionGenerator.load(tmp_path)
    assert ask(loaded, rows) == ask(generator, rows)
    assert loaded.version == "g7"
    (tmp_path / MANIFEST_FILE).unlink()
    with pytest.raises(ValueError, match="no complete generator"):
        DiffusionGenerator.load(tmp_path)


def test_generated_rows_say_what_they_rest_on() -> None:
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
