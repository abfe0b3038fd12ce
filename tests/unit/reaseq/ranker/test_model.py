"""`reaseq.ranker.model`."""

from __future__ import annotations

import pytest
import torch

from reaseq.ranker.model import Batch, RankerModel
from reaseq.ranker.settings import RankerSettings

NUM_CODES = 7
SETTINGS = RankerSettings(hidden_size=8, num_heads=2, head_size=4, trend_half_lives_days=(1.0, 5.0))


@pytest.fixture
def model() -> RankerModel:
    """A model of six items with random weights everywhere."""
    torch.manual_seed(0)
    model = RankerModel(torch.randn(NUM_CODES, 5), SETTINGS).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn_like(weights))
    return model


def batch_of(codes: list[list[int]], recency_buckets: list[list[int]]) -> Batch:
    """A batch of purchases, with trends that differ by item."""
    codes_BL = torch.tensor(codes)
    trends = torch.arange(len(codes) * 2 * NUM_CODES).float().reshape(len(codes), 2, NUM_CODES) / 9
    generated, probability_buckets = torch.tensor([[6, 5, 0]]), torch.tensor([[1, 4, 0]])
    several = (len(codes), 1)
    return Batch(
        codes_BL,
        4 * (codes_BL > 0),
        torch.tensor(recency_buckets),
        trends,
        generated.repeat(several),
        probability_buckets.repeat(several),
    )


def test_a_candidate_scores_alike_in_any_company(model: RankerModel) -> None:
    """Scoring the whole catalogue and scoring a few items agree, in any order."""
    batch = batch_of([[1, 2, 3], [4, 4, 1]], [[5, 4, 3], [9, 2, 1]])
    with torch.inference_mode():
        whole = model(batch, torch.arange(1, NUM_CODES))
        items = model.items()
        everything = model.candidates(torch.arange(NUM_CODES), items)
        logged, generated = model.terms(batch, everything.take(torch.tensor([5, 2])), items)
        some = logged + generated
    torch.testing.assert_close(some, whole[:, [4, 1]])


def test_padding_changes_nothing(model: RankerModel) -> None:
    """More padding on the left, whatever its gap, leaves the logits as they are."""
    candidates = torch.arange(1, NUM_CODES)
    with torch.inference_mode():
        bare = model(batch_of([[1, 2]], [[5, 4]]), candidates)
        padded = model(batch_of([[0, 0, 1, 2]], [[7, 0, 5, 4]]), candidates)
    torch.testing.assert_close(padded, bare)


def test_equal_events_may_change_places(model: RankerModel) -> None:
    """Time is in the recency buckets, so two events of one bucket have no order."""
    candidates = torch.arange(1, NUM_CODES)
    with torch.inference_mode():
        one_way = model(batch_of([[1, 2, 3]], [[5, 5, 2]]), candidates)
        other_way = model(batch_of([[2, 1, 3]], [[5, 5, 2]]), candidates)
        older = model(batch_of([[2, 1, 3]], [[9, 5, 2]]), candidates)
    torch.testing.assert_close(other_way, one_way)
    assert not torch.allclose(older, one_way)


def test_an_empty_sequence_has_finite_logits(model: RankerModel) -> None:
    """No events at all, or nothing but padding: the same numbers, by bias and trends."""
    candidates = torch.arange(1, NUM_CODES)
    empty = torch.zeros(1, 0, dtype=torch.long)
    nothing = batch_of([[0]], [[0]])._replace(codes=empty, types=empty, recency_buckets=empty)
    with torch.inference_mode():
        without_events = model(nothing, candidates)
        only_padding = model(batch_of([[0, 0]], [[3, 3]]), candidates)
    assert torch.isfinite(without_events).all()
    torch.testing.assert_close(only_padding, without_events)


def test_every_weight_takes_part(model: RankerModel) -> None:
    """A parameter without a gradient would stall distributed training."""
    batch = batch_of([[1, 2, 3]], [[5, 4, 3]])
    torch.autograd.backward(model(batch, torch.arange(1, NUM_CODES)).logsumexp(1).sum())
    assert all(weights.grad is not None for weights in model.parameters())


def test_without_trends_the_sequence_decides_alone() -> None:
    """An empty tuple of half lives takes the trends out of the model."""
    settings = SETTINGS.model_copy(update={"trend_half_lives_days": ()})
    model = RankerModel(torch.randn(NUM_CODES, 5), settings).eval()
    batch = batch_of([[1, 2, 3]], [[5, 4, 3]])._replace(trends=torch.zeros(1, 0, NUM_CODES))
    assert model(batch, torch.arange(1, NUM_CODES)).shape == (1, NUM_CODES - 1)


def test_generated_behaviours_change_the_logits(model: RankerModel) -> None:
    """Which items were generated counts, and how probable they are."""
    candidates = torch.arange(1, NUM_CODES)
    batch = batch_of([[1, 2]], [[5, 4]])
    with torch.inference_mode():
        given = model(batch, candidates)
        others = model(batch._replace(generated=torch.tensor([[3, 4, 0]])), candidates)
        surer = model(batch._replace(probability_buckets=torch.tensor([[0, 0, 0]])), candidates)
    assert not torch.allclose(others, given)
    assert not torch.allclose(surer, given)


def test_nothing_generated_is_exactly_the_logged_part(model: RankerModel) -> None:
    """The second sequence adds a term; without behaviours the term is 0, not a guess."""
    candidates = torch.arange(1, NUM_CODES)
    batch = batch_of([[1, 2]], [[5, 4]])
    batch = batch._replace(generated=torch.zeros_like(batch.generated))
    with torch.inference_mode():
        without_behaviours = model(batch, candidates)
        model.generated = None
        logged_only = model(batch, candidates)
    torch.testing.assert_close(without_behaviours, logged_only)


def test_the_generated_sequence_has_no_order(model: RankerModel) -> None:
    """It is a set with probabilities."""
    candidates = torch.arange(1, NUM_CODES)
    batch = batch_of([[1, 2]], [[5, 4]])
    turned = batch._replace(
        generated=batch.generated.flip(1), probability_buckets=batch.probability_buckets.flip(1)
    )
    with torch.inference_mode():
        torch.testing.assert_close(model(turned, candidates), model(batch, candidates))


def test_a_switch_leaves_the_generated_sequence_out() -> None:
    """`use_generated = False`: no weights for it, and no effect."""
    settings = SETTINGS.model_copy(update={"use_generated": False})
    model = RankerModel(torch.randn(NUM_CODES, 5), settings).eval()
    assert not [name for name, _ in model.named_parameters() if name.startswith("generated")]
    batch, candidates = batch_of([[1, 2]], [[5, 4]]), torch.arange(1, NUM_CODES)
    others = batch._replace(generated=torch.tensor([[3, 4, 0]]))
    torch.testing.assert_close(model(others, candidates), model(batch, candidates))
