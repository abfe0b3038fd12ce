"""`reaseq.ranker.ranker` and `reaseq.ranker.folder`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from reaseq.artifacts import MANIFEST_FILE
from reaseq.ranker.fit import text_by_code
from reaseq.ranker.model import RankerModel
from reaseq.ranker.ranker import Ranker, RankerInputs
from reaseq.ranker.settings import RankerSettings
from reaseq.schemas import EVENT_SCHEMA, GENERATED_SCHEMA, SEQUENCE_SCHEMA
from reaseq.sequences.rows import with_generated
from reaseq.vocabulary import ItemVocabulary

ITEMS = ItemVocabulary(["a", "b", "c", "d"])
NOW_MS = 50 * 86_400_000


def sequences(*rows: list[str]) -> pa.Table:
    """One user a row, an event a minute, the newest one a minute before NOW_MS."""
    records = [
        {
            "user_id": f"u{i}",
            "item_ids": items,
            "event_types": ["purchase"] * len(items),
            "event_times_ms": [NOW_MS - 60_000 * (len(items) - n) for n in range(len(items))],
            "event_values": [1.0] * len(items),
            "event_keys": list(range(len(items))),
            "newest_event_time_ms": NOW_MS - 60_000,
            "revision": len(items),
        }
        for i, items in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=SEQUENCE_SCHEMA)


def at(rows: pa.Table) -> np.ndarray:
    """Now, for every row."""
    return np.full(rows.num_rows, NOW_MS)


@pytest.fixture
def ranker() -> Ranker:
    """A ranker with random weights."""
    torch.manual_seed(0)
    settings = RankerSettings(hidden_size=8, head_size=4, num_heads=2)
    model = RankerModel(text_by_code(np.eye(4, dtype=np.float32)), settings)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn_like(weights))
    return Ranker.of(model, ITEMS, version="v7", trained_up_to_ms=5, metrics={"hr": 0.1})


def test_a_loaded_ranker_scores_like_the_saved_one(ranker: Ranker, tmp_path: Path) -> None:
    """Bit for bit, and it can say where it is from."""
    ranker.save(tmp_path / "model")
    loaded = Ranker.load(tmp_path / "model")
    rows = sequences(["a", "b"], [], ["d", "x", "d"])
    assert (loaded.score(rows, at(rows)) == ranker.score(rows, at(rows))).all()
    assert loaded.manifest == ranker.manifest
    assert (loaded.version, loaded.manifest.num_items) == ("v7", 4)
    assert "torch" in loaded.manifest.libraries


def test_rows_do_not_see_each_other(ranker: Ranker) -> None:
    """A row scores alone as it does among many of other lengths."""
    rows = sequences(*[["a", "b", "c", "d"][: i % 5] for i in range(40)])
    whole = ranker.score(rows, at(rows))
    for i in (0, 3, 39):
        alone = rows.slice(i, 1)
        np.testing.assert_allclose(ranker.score(alone, at(alone))[0], whole[i], atol=1e-5)


def test_candidates_score_as_in_the_whole_catalogue(ranker: Ranker) -> None:
    """In the order asked for; an unknown item gets -inf."""
    rows = sequences(["a", "b"])
    whole = ranker.score(rows, at(rows))[0]
    some = ranker.score_candidates(rows, at(rows), ITEMS.encode(["d", "nowhere", "a"]))[0]
    np.testing.assert_allclose(some[[0, 2]], whole[[3, 0]], atol=1e-6)
    assert some[1] == -np.inf


def test_unknown_items_and_types_are_passed_over(ranker: Ranker) -> None:
    """What the vocabulary does not hold counts as if it had not been there."""
    plain = sequences(["a"])
    extended = sequences(["nowhere", "a"])
    np.testing.assert_allclose(
        ranker.score(extended, at(extended)), ranker.score(plain, at(plain)), atol=1e-6
    )


def test_as_a_scorer_it_follows_the_evaluations_items(ranker: Ranker) -> None:
    """Columns are reordered, and items that are newer than the model score -inf."""
    rows = sequences(["a"], ["b", "c"])
    scores = ranker.scorer_for(["c", "new", "a"]).score(rows, at(rows))
    np.testing.assert_allclose(
        scores[:, [0, 2]], ranker.score(rows, at(rows))[:, [2, 0]], atol=1e-6
    )
    assert (scores[:, 1] == -np.inf).all()


def test_orders_of_yesterday_change_todays_demand(ranker: Ranker) -> None:
    """`observe` moves the trends; today's own orders wait for tomorrow."""
    rows = sequences(["a"])
    for days_ago, changes in [(1, True), (0, False)]:
        before = ranker.score(rows, at(rows))
        ranker.observe(purchase("b", NOW_MS - days_ago * 86_400_000))
        assert (ranker.score(rows, at(rows)) != before).any() == changes


def purchase(item_id: str, time_ms: int) -> pa.Table:
    """One purchase."""
    row = ["e", "u", item_id, "purchase", time_ms, 1.0]
    event = dict(zip(EVENT_SCHEMA.names, row, strict=True))
    return pa.Table.from_pylist([event], schema=EVENT_SCHEMA)


def test_a_folder_that_was_not_finished_is_no_model(ranker: Ranker, tmp_path: Path) -> None:
    """The manifest is written last, so without it nothing is loaded; see `test_artifacts`."""
    ranker.save(tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    with pytest.raises(ValueError, match="no complete model"):
        Ranker.load(tmp_path)


def test_a_generator_is_not_loaded_as_a_ranker(ranker: Ranker, tmp_path: Path) -> None:
    """The manifest says what a folder holds."""
    ranker.save(tmp_path)
    manifest = ranker.manifest.model_copy(update={"kind": "generator"})
    (tmp_path / MANIFEST_FILE).write_text(manifest.model_dump_json())
    with pytest.raises(ValueError, match="holds a generator, not a ranker"):
        Ranker.load(tmp_path)


def generated(user_id: str, *behaviours: tuple[str, float]) -> pa.Table:
    """What was generated for one user."""
    row = {
        "user_id": user_id,
        "item_ids": [item_id for item_id, _ in behaviours],
        "probabilities": [probability for _, probability in behaviours],
        "model_version": "g1",
        **dict.fromkeys(("generated_at_ms", "partition", "next_offset"), 0),
        **dict.fromkeys(("newest_event_time_ms", "revision"), 0),
    }
    return pa.Table.from_pylist([row], schema=GENERATED_SCHEMA)


def test_each_part_can_be_left_out(ranker: Ranker) -> None:
    """Without generated behaviours: as if there were none. Without knowledge: the plain texts."""
    plain_text = torch.flip(ranker._stored.plain_text, [1])
    ranker = Ranker(ranker._stored._replace(plain_text=plain_text))
    rows = sequences(["a", "b"], ["c"])
    both = with_generated(rows, generated("u1", ("d", 0.5), ("a", 0.1)))
    whole = ranker.scorer_for(ITEMS.item_ids)
    given, bare = whole.score(both, at(both)), whole.score(rows, at(rows))
    np.testing.assert_allclose(given[0], bare[0], atol=1e-6)  # nothing generated for u0
    assert (given[1] != bare[1]).any()
    ablations = {
        name: whole.ablation(parts)
        for name, parts in {
            "plain": RankerInputs(knowledge=False, generated=False),
            "knowledge": RankerInputs(generated=False),
            "generated": RankerInputs(knowledge=False),
        }.items()
    }
    scores = {name: ablation.score(both, at(both)) for name, ablation in ablations.items()}
    np.testing.assert_allclose(scores["knowledge"], bare, atol=1e-6)
    assert (scores["generated"] != given).any()
    np.testing.assert_allclose(whole.score(both, at(both)), given, atol=1e-6)
    plain_table = both.select(SEQUENCE_SCHEMA.names)
    np.testing.assert_allclose(
        ablations["generated"].score(plain_table, at(both)), scores["plain"], atol=1e-6
    )


def test_a_variant_does_not_learn_twice(ranker: Ranker) -> None:
    """It shares the ranker, which learns once however many look at it."""
    whole = ranker.scorer_for(ITEMS.item_ids)
    ablation = whole.ablation(RankerInputs(knowledge=False))
    assert not hasattr(ablation, "observe")
    rows = sequences(["a"])
    before = ablation.score(rows, at(rows))
    whole.observe(purchase("b", NOW_MS - 86_400_000))
    assert (ablation.score(rows, at(rows)) != before).any()
