"""Between our tables and what Feast stores."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.feature_views import ITEMS, SEQUENCES
from reaseq.schemas import ITEM_SCHEMA, ORDER_SCHEMA, SEQUENCE_SCHEMA, TRAINING_SCHEMA
from reaseq.sequences.as_of import with_sequences
from reaseq.sequences.rows import empty_sequences
from streams.feature_store.encoding import EncodedRows, encode_values
from streams.feature_store.views import (
    FEAST_FIELDS,
    checked,
    encode_rows,
    offline_rows,
    offline_schema,
    rows_known,
    rows_of_answers,
    without_nulls,
)

SCALARS = {
    pa.string(): st.text(max_size=5),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
}
VALUES = {**SCALARS, **{pa.list_(kind): st.lists(e, max_size=3) for kind, e in SCALARS.items()}}


def item(**changes: Any) -> dict[str, Any]:
    """A row of the catalogue."""
    row = {"item_id": "tea", "title": "Tea", "price": 1.0, "description": None, "event_time_ms": 7}
    return {**row, **changes}


def items(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ITEM_SCHEMA)


def versions(rows: EncodedRows) -> list[tuple[int, int]]:
    return list(zip(rows.event_times_us.tolist(), rows.revisions.tolist(), strict=True))


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
    assert versions(encode_rows(ITEMS, items(item()))) == [(7000, 0)]
    sequence = empty_sequences(["ann"]).to_pylist()[0]
    rows = pa.Table.from_pylist(
        [{**sequence, "newest_event_time_ms": 5, "revision": 3}], schema=SEQUENCE_SCHEMA
    )
    assert versions(encode_rows(SEQUENCES, rows)) == [(5000, 3)]


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


def test_an_answer_keeps_the_rows_that_the_store_holds() -> None:
    """A key without a time was not found, whatever else Feast says of it."""
    features = {
        "title": Value(string_val="Tea"),
        "price": Value(),
        "description": Value(),
        "event_time_ms": Value(int64_val=7),
    }
    nothing = dict.fromkeys(features, Value())
    time = datetime(1970, 1, 1, tzinfo=UTC)
    answers = [(None, None), (time, features), (time, nothing)]
    assert rows_of_answers(ITEMS, ["cup", "tea", "pot"], answers).equals(items(item(price=None)))
    assert rows_of_answers(ITEMS, [], []).equals(ITEM_SCHEMA.empty_table())


@settings(deadline=None)  # the first call compiles
@given(
    st.sampled_from(list(FEAST_FIELDS)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.none() | VALUES[kind], max_size=4))
    )
)
def test_what_was_encoded_is_read_back(column: tuple[pa.DataType, list[Any]]) -> None:
    """Of every type that a view has, nulls and empty lists too."""
    kind, values = column
    schema = pa.schema([("key", pa.string()), ("value", kind), ("time_ms", pa.int64())])
    view = dataclasses.replace(ITEMS, schema=schema, key="key", time="time_ms")
    ids = [f"id-{place}" for place in range(len(values))]
    encoded = encode_values(pa.array(values, kind)).to_pylist()
    answers = [
        (None, {"value": Value.FromString(value), "time_ms": Value(int64_val=1)})
        for value in encoded
    ]
    assert rows_of_answers(view, ids, answers)["value"].to_pylist() == values


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
