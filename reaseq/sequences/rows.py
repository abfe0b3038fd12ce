"""Sequence rows (SEQUENCE_SCHEMA) as a whole: empty ones, and one for each user asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import GENERATED_ITEM_IDS, GENERATED_PROBABILITIES, SEQUENCE_SCHEMA


def empty_sequences(user_ids: Sequence[str]) -> pa.Table:
    """The rows of users who have done nothing yet: no events, revision 0."""
    num_rows = len(user_ids)
    columns = {
        field.name: pa.ListArray.from_arrays(
            pa.array(np.zeros(num_rows + 1, np.int32)), pa.array([], field.type.value_type)
        )
        if pa.types.is_list(field.type)
        else pa.array(np.zeros(num_rows, np.int64))
        for field in SEQUENCE_SCHEMA
    }
    return pa.table({**columns, "user_id": pa.array(user_ids, pa.string())}, SEQUENCE_SCHEMA)


def aligned(rows: pa.Table, user_ids: Sequence[str]) -> pa.Table:
    """One row for each of `user_ids`, in that order; an empty one where `rows` has none."""
    found = rows["user_id"].to_pylist()
    absent = sorted(set(user_ids) - set(found))
    place = {user_id: row for row, user_id in enumerate([*found, *absent])}
    complete = pa.concat_tables([rows, empty_sequences(absent)])
    return complete.take(pa.array([place[user_id] for user_id in user_ids], pa.int64()))


def with_generated(sequences: pa.Table, generated: pa.Table) -> pa.Table:
    """The rows of `sequences` with their users' generated behaviours in two columns beside them.

    `generated` has rows of GENERATED_SCHEMA, one a user at most; a user without one gets empty
    lists. The logged columns stay what they are: generated behaviours never join them.
    """
    users = sequences["user_id"]
    place = pc.index_in(users, value_set=generated["user_id"].combine_chunks())
    return beside(sequences, generated.take(place))


def beside(sequences: pa.Table, generated: pa.Table) -> pa.Table:
    """As `with_generated`, for rows of `generated` that lie in the order of `sequences`."""
    for column, name in (
        ("item_ids", GENERATED_ITEM_IDS),
        ("probabilities", GENERATED_PROBABILITIES),
    ):
        lists = generated[column]
        known = pc.if_else(lists.is_valid(), lists, pa.scalar([], lists.type))
        sequences = sequences.append_column(name, known)
    return sequences
