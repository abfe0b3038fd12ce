"""The versions of rows, and which of them pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.feature_store.encoding import EncodedRows
from streams.feature_store.guard import RowVersion, Stored, pass_guard, row_version_of

ORDERS = st.tuples(st.integers(0, 3), st.integers(0, 3))
KEYED = st.tuples(st.sampled_from([b"a", b"b"]), ORDERS)


@settings(deadline=None)  # the first call compiles
@given(st.dictionaries(st.sampled_from([b"a", b"b"]), ORDERS), st.lists(KEYED))
def test_a_batch_passes_as_its_rows_one_by_one(
    stored: dict[bytes, RowVersion], writes: list[tuple[bytes, RowVersion]]
) -> None:
    """The count and what remains equal those of a loop that writes each row by itself."""
    state, num_accepted, remaining = dict(stored), 0, {}
    for index, (key, version) in enumerate(writes):
        if key not in state or version >= state[key]:
            state[key], remaining[key], num_accepted = version, index, num_accepted + 1
    accepted, indices = pass_guard(rows(writes), held(stored, writes))
    assert accepted == num_accepted
    assert indices.tolist() == sorted(remaining.values())


@given(st.integers(0, 4_102_444_800_000_000), st.integers(0, 10**9))
def test_the_revision_survives_the_two_timestamps(event_us: int, revision: int) -> None:
    """Event time and revision come back exactly from Feast's event and created timestamps."""
    event = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event_us)
    created = event + timedelta(microseconds=revision)
    assert row_version_of(event, created) == (event_us, revision)
    assert row_version_of(event.replace(tzinfo=None), created) == (event_us, revision)


def test_no_created_timestamp_is_revision_zero() -> None:
    """Feast may write a row without a created timestamp."""
    assert row_version_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None) == (1_000_000, 0)


def rows(writes: list[tuple[bytes, RowVersion]]) -> EncodedRows:
    return EncodedRows(
        entity_keys=pa.array([key for key, _ in writes], pa.binary()),
        event_times_us=np.array([time_us for _, (time_us, _) in writes], np.int64),
        revisions=np.array([revision for _, (_, revision) in writes], np.int64),
        values={},
        scalars={},
    )


def held(stored: dict[bytes, RowVersion], writes: list[tuple[bytes, RowVersion]]) -> Stored:
    """What a store answers for each row to write."""
    versions = [stored.get(key, (0, 0)) for key, _ in writes]
    return Stored(
        np.array([key in stored for key, _ in writes], np.bool_),
        np.array([time_us for time_us, _ in versions], np.int64),
        np.array([revision for _, revision in versions], np.int64),
    )
