"""Sequence rows (SEQUENCE_SCHEMA) as a whole: empty ones, and one for each user asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.schemas import GENERATED_ITEM_IDS, GENERATED_PROBABILITIES, SEQUENCE_SCHEMA
from reaseq.types import Int64s


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


def rows_after(rows: pa.Table, until_ms: Int64s) -> pa.Table:
    """The rows without their events up to a time each; those that have none left are gone."""
    lists = {field.name for field in SEQUENCE_SCHEMA if pa.types.is_list(field.type)}
    rows = rows.combine_chunks()
    times_ms = np.asarray(pc.list_flatten(rows["event_times_ms"]))
    row = np.asarray(pc.list_parent_indices(rows["event_times_ms"]))
    stays = times_ms > until_ms[row]
    lengths = np.bincount(row[stays], minlength=rows.num_rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    columns = {
        name: pa.ListArray.from_arrays(
            offsets, pc.list_flatten(rows[name]).combine_chunks().filter(pa.array(stays))
        )
        if name in lists
        else rows[name]
        for name in SEQUENCE_SCHEMA.names
    }
    return pa.table(columns, SEQUENCE_SCHEMA).filter(pa.array(lengths > 0))
