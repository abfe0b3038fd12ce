"""Between our tables and what Feast stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.feature_views import ITEMS, SEQUENCES
from reaseq.schemas import ITEM_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.as_of import with_sequences
from reaseq.sequences.rows import empty_sequences
from streams.feature_store.views import (
    checked,
    encode_rows,
    offline_rows,
    offline_schema,
    rows_known,
    rows_of_response,
    without_nulls,
)


def item(**changes: Any) -> dict[str, Any]:
    """A row of the catalogue."""
    row = {"item_id": "tea", "title": "Tea", "price": 1.0, "description": None, "event_time_ms": 7}
    return {**row, **changes}


def items(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ITEM_SCHEMA)


def test_columns_come_into_the_views_order_and_others_are_left_behind() -> None:
    """A writer may hold more than the view stores."""
    rows = items(item()).select(ITEM_SCHEMA.names[::-1]).append_column("note", [["x"]])
    assert checked(ITEMS, rows).equals(items(item()))


def test_numbers_of_another_width_are_cast() -> None:
    """Where nothing is lost."""
    narrow = items(item()).set_column(4, "event_time_ms", pa.array([7], pa.int32()))
    assert checked(ITEMS, narrow).schema == ITEM_SCHEMA


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (items(item()).drop_columns(["title", "price"]), r"\['title', 'price'\] are missing"),
        (pa.Table.from_pylist([item(title=None)]), "column title must not hold a null"),
        (pa.Table.from_pylist([item(event_time_ms="soon")]), "item_catalogue: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_view(rows: pa.Table, message: str) -> None:
    """Before anything of the batch is written."""
    with pytest.raises(ValueError, match=message):
        checked(ITEMS, rows)


def test_versions_are_time_then_revision() -> None:
    """A view without revisions has 0; event times go to Feast's microseconds."""
    assert encode_rows(ITEMS, items(item())).row_versions == [(7000, 0)]
    sequence = empty_sequences(["ann"]).to_pylist()[0]
    rows = pa.Table.from_pylist(
        [{**sequence, "newest_event_time_ms": 5, "revision": 3}], schema=SEQUENCE_SCHEMA
    )
    assert encode_rows(SEQUENCES, rows).row_versions == [(5000, 3)]


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 999))
def test_offline_versions_are_ordered_like_online_ones(time_ms: int, revision: int) -> None:
    """`created` grows with the revision and stays below the next millisecond's."""
    sequence = empty_sequences(["ann"]).to_pylist()[0]
    rows = pa.Table.from_pylist(
        [{**sequence, "newest_event_time_ms": time_ms, "revision": revision}],
        schema=SEQUENCE_SCHEMA,
    )
    offline = offline_rows(SEQUENCES, rows)
    assert offline.schema.names == offline_schema(SEQUENCES).names
    event_us, created_us = (
        offline[name].cast(pa.int64())[0].as_py() for name in ("event_timestamp", "created")
    )
    assert event_us == time_ms * 1000
    assert created_us - event_us == revision


def test_a_response_keeps_the_rows_that_the_store_holds() -> None:
    """A key without a time was not found, whatever else Feast says of it."""
    response = {
        "item_id": ["tea", "pot"],
        "title": ["Tea", None],
        "price": [None, None],
        "description": [None, None],
        "event_time_ms": [7, None],
    }
    assert rows_of_response(ITEMS, response).equals(items(item(price=None)))


def test_what_was_not_known_is_empty_and_not_null() -> None:
    """Lists, texts and numbers each in their way; what is there stays."""
    for kind, known, nothing in (
        (pa.list_(pa.int64()), [1], []),
        (pa.string(), "x", ""),
        (pa.int64(), 5, 0),
        (pa.float64(), 0.5, 0.0),
    ):
        column = pa.chunked_array([pa.array([known, None], kind)])
        filled = without_nulls(column)
        assert filled.to_pylist() == [known, nothing]
        assert filled.type == kind
    whole = pa.chunked_array([pa.array([1, 2])])
    assert without_nulls(whole) is whole


def test_training_rows_are_labels_with_what_was_known() -> None:
    """In the order of the labels, a stranger with empty lists."""
    labels = pa.Table.from_pylist(
        [
            {"user_id": user, "label_time_ms": at, "label_item_ids": ["tea"]}
            for user, at in (("bob", 9), ("ann", 5))
        ],
        schema=ORDER_SCHEMA,
    )
    joined = pa.table(
        {
            field.name: pa.array([[] if pa.types.is_list(field.type) else 3, None], field.type)
            if field.name != "user_id"
            else pa.array(["bob", "ann"])
            for field in SEQUENCE_SCHEMA
        }
    )
    rows = with_sequences(labels, rows_known(SEQUENCES, labels, joined))
    assert rows.schema == TRAINING_SCHEMA
    assert rows["user_id"].to_pylist() == ["bob", "ann"]
    assert rows["revision"].to_pylist() == [3, 0]
    assert rows["item_ids"].to_pylist() == [[], []]
    assert rows["label_time_ms"].to_pylist() == [9, 5]
