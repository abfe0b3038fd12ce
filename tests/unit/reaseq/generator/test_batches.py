"""Rows as tensors: which targets become slots, and which slots are masked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.errors import InputError
from reaseq.generator.batches import diffusion_data, draw_masks, to_context
from reaseq.generator.targets import with_targets
from reaseq.schemas import TRAINING_SCHEMA
from reaseq.sequences.padded import pad_sequences
from reaseq.types import DAY_MS
from tests.unit.reaseq.generator.world import ITEMS, row, sequences


def rows(*orders: tuple[str, list[str], list[str]], num_targets: int = 4) -> pa.Table:
    """(user, log, order) each, a day after the other, with their targets."""
    made = [
        {**row(user, log), "label_time_ms": (20 + n) * DAY_MS, "label_item_ids": bought}
        for n, (user, log, bought) in enumerate(orders)
    ]
    return with_targets(pa.Table.from_pylist(made, schema=TRAINING_SCHEMA), num_targets)


def test_rows_without_a_known_target_are_left_out() -> None:
    """An item that the vocabulary does not know is not a target."""
    data = diffusion_data(
        rows(("a", ["i0"], ["i1"]), ("b", ["i0"], ["strange"]), ("c", [], ["i2", "i3"])), ITEMS, 5
    )
    assert len(data) == 2
    assert data.lengths.tolist() == [1, 0]
    assert ITEMS.decode(data.target_codes) == ["i1", "i2", "i3"]
    assert data.offsets.tolist() == [0, 1, 3]


def test_targets_of_rows_are_pairs_in_the_order_asked_for() -> None:
    """Position counts among the rows that were asked for."""
    data = diffusion_data(rows(("a", [], ["i1"]), ("b", [], ["i2", "i3"])), ITEMS, 5)
    position, codes = data.targets(np.array([1, 0]))
    assert list(zip(position.tolist(), ITEMS.decode(codes), strict=True)) == [
        (0, "i2"),
        (0, "i3"),
        (1, "i1"),
    ]


def test_rows_without_targets_are_refused() -> None:
    """The message names the step that was left out."""
    plain = rows(("a", [], ["i1"])).drop_columns(["target_item_ids", "target_orders"])
    with pytest.raises(InputError, match="with_targets"):
        diffusion_data(plain, ITEMS, 5)


def test_a_row_that_knows_its_own_order_is_refused() -> None:
    """A sequence up to the label's time has seen the answer."""
    late = rows(("a", ["i0"], ["i1"]))
    at = late.schema.get_field_index("label_time_ms")
    leaking = late.set_column(at, "label_time_ms", pa.array([DAY_MS]))
    with pytest.raises(InputError, match="join as of before"):
        diffusion_data(leaking, ITEMS, 5)


def test_nearer_orders_fill_the_slots_first() -> None:
    """Of the order that does not fit as a whole a part is drawn, another one each time."""
    data = diffusion_data(
        rows(("a", ["i0"], ["i1", "i2"]), ("a", ["i0", "i1", "i2"], ["i3", "i4", "i5"])), ITEMS, 5
    )
    rng = np.random.default_rng(0)
    drawn = [ITEMS.decode(data.slots(np.array([0]), 3, rng)[0]) for _ in range(60)]
    assert all(set(slots[:2]) == {"i1", "i2"} for slots in drawn)
    assert {slots[2] for slots in drawn} == {"i3", "i4", "i5"}


def test_a_row_with_few_targets_has_empty_slots_at_the_end() -> None:
    """Code 0 counts for nothing."""
    data = diffusion_data(rows(("a", [], ["i1"])), ITEMS, 5)
    assert data.slots(np.array([0, 0]), 3, np.random.default_rng(0)).tolist() == [[2, 0, 0]] * 2


def test_padding_is_cut_but_for_one_column() -> None:
    """Workers that train together need every weight in every step, even for users without a log."""
    context = to_context(pad_sequences(sequences([], []), ITEMS, 5))
    assert context.codes.tolist() == [[0], [0]]
    context = to_context(pad_sequences(sequences(["i0"], ["i1", "i2"]), ITEMS, 5))
    assert context.codes.shape == (2, 2)
    assert context.codes[0].tolist() == [0, 1]


def test_recency_counts_from_a_rows_own_newest_event() -> None:
    """So an answer holds until the sequence changes, whenever it is asked for."""
    old = to_context(pad_sequences(sequences(["i0", "i1"]), ITEMS, 5))
    table = sequences(["i0", "i1"])
    later = [[ms + 400 * DAY_MS for ms in times] for times in table["event_times_ms"].to_pylist()]
    at = table.schema.get_field_index("event_times_ms")
    moved = table.set_column(at, table.schema.field(at), pa.array(later, pa.list_(pa.int64())))
    new = to_context(pad_sequences(moved, ITEMS, 5))
    assert new.recency_buckets.tolist() == old.recency_buckets.tolist()


slot_rows = st.lists(st.integers(0, 5), min_size=1, max_size=4)


@given(slot_rows, st.integers(0, 2**32 - 1))
def test_masks_lie_at_the_end_and_cover_only_targets(counts: list[int], seed: int) -> None:
    """Of n targets one to n are masked; a row keeps the targets that it had."""
    slots = np.zeros((len(counts), 5), np.int64)
    for place, count in enumerate(counts):
        slots[place, :count] = np.arange(1, count + 1)
    ordered, masked = draw_masks(slots, np.random.default_rng(seed))
    assert (np.sort(ordered) == np.sort(slots)).all()
    for count, codes, is_masked in zip(counts, ordered, masked, strict=True):
        num_masked = int(is_masked.sum())
        assert 1 <= num_masked <= max(count, 1)
        assert is_masked[-num_masked:].all()
        assert count == 0 or (codes[is_masked] > 0).all()


def test_every_number_of_masks_is_as_likely() -> None:
    """l ~ U{1..n}: each of four counts comes a quarter of the time, within five deviations."""
    slots = np.tile(np.arange(1, 5), (4000, 1))
    _, masked = draw_masks(slots, np.random.default_rng(1))
    found = Counter(masked.sum(axis=1).tolist())
    assert set(found) == {1, 2, 3, 4}
    deviation = (4000 * 0.25 * 0.75) ** 0.5
    assert all(abs(count - 1000) < 5 * deviation for count in found.values())
