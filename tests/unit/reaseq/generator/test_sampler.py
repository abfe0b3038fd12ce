"""Sampling without a trained model: what holds for any logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.generator.model import Context, DiffusionModel
from reaseq.generator.sampler import Filled, sample
from reaseq.generator.settings import GeneratorSettings
from reaseq.types import Int64s

NUM_ITEMS = 6
MODEL_SETTINGS = GeneratorSettings(
    hidden_size=8, num_layers=1, num_heads=2, num_generated=4, num_events=4, dropout=0.0
)


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    """Weights as they were drawn."""
    torch.manual_seed(0)
    return DiffusionModel(NUM_ITEMS, MODEL_SETTINGS).eval()


def filled(
    model: DiffusionModel,
    logged: list[list[int]],
    *,
    num_steps: int = 4,
    temperature: float = 0.0,
    seeds: list[list[int]] | None = None,
) -> Filled:
    """The slots of users whose contexts are their logs."""
    codes: Int64s = np.array(logged, np.int64)
    context = Context(*(torch.from_numpy(a) for a in (codes, (codes > 0) * 1, codes * 0)))
    with torch.inference_mode():
        return sample(
            model,
            context,
            codes,
            seeds or [[n] for n in range(len(logged))],
            num_steps=num_steps,
            temperature=temperature,
        )


logs = st.lists(st.lists(st.integers(0, NUM_ITEMS), min_size=4, max_size=4), min_size=1, max_size=3)


@given(logs, st.integers(1, 6), st.sampled_from([0.0, 0.7, 3.0]))
@settings(max_examples=40, deadline=None)
def test_no_logged_item_none_twice_and_falling_probabilities(
    model: DiffusionModel, logged: list[list[int]], num_steps: int, temperature: float
) -> None:
    """However many steps, and however hot; where no item is left the slot stays empty."""
    found = filled(model, logged, num_steps=num_steps, temperature=temperature)
    for log, codes, p in zip(logged, found.codes.tolist(), found.probabilities, strict=True):
        items = [code for code in codes if code]
        assert not set(items) & set(log)
        assert len(set(items)) == len(items) == min(4, NUM_ITEMS - len(set(log) - {0}))
        assert (p.diff() <= 0).all()
        assert all(
            (probability > 0) == bool(code) for code, probability in zip(codes, p, strict=True)
        )
        assert p.max() <= 1


def test_one_step_takes_the_most_probable_items(model: DiffusionModel) -> None:
    """With one look at the model the fills are its ranking."""
    log = [[0, 0, 0, 1]]
    codes = torch.tensor(log)
    context = Context(codes, (codes > 0) * 1, codes * 0)
    with torch.inference_mode():
        logits = model(context, torch.full((1, 4), model.mask_code))[0]
    unlogged = logits.argsort(descending=True) + 1
    ranking = unlogged[unlogged != 1][:4].tolist()
    assert filled(model, log, num_steps=1).codes[0].tolist() == ranking


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_company_changes_nothing(model: DiffusionModel, temperature: float) -> None:
    """A row's noise is its own."""
    together = filled(
        model, [[0, 0, 0, 1], [0, 0, 2, 3]], temperature=temperature, seeds=[[5], [6]]
    )
    alone = filled(model, [[0, 0, 2, 3]], temperature=temperature, seeds=[[6]])
    assert together.codes[1].tolist() == alone.codes[0].tolist()
    assert torch.allclose(together.probabilities[1], alone.probabilities[0], atol=1e-6)


def test_heat_makes_answers_differ_and_a_seed_keeps_them(model: DiffusionModel) -> None:
    """At temperature 0 the seed is nothing."""
    log = [[0, 0, 0, 1]]
    hot = {
        tuple(filled(model, log, temperature=5.0, seeds=[[s]]).codes[0].tolist()) for s in range(20)
    }
    assert len(hot) > 5
    again = [filled(model, log, temperature=5.0, seeds=[[3]]).codes.tolist() for _ in range(2)]
    assert again[0] == again[1]
    cold = {
        tuple(filled(model, log, temperature=0.0, seeds=[[s]]).codes[0].tolist()) for s in range(5)
    }
    assert len(cold) == 1


def test_a_catalogue_smaller_than_the_slots_gives_all_that_is_left() -> None:
    """Two items, four slots: two columns."""
    torch.manual_seed(0)
    tiny = DiffusionModel(2, MODEL_SETTINGS).eval()
    found = filled(tiny, [[0, 0, 0, 1], [0, 0, 1, 2]])
    assert found.codes.tolist() == [[2, 0], [0, 0]]
    assert found.probabilities[0, 0] == pytest.approx(1.0)
