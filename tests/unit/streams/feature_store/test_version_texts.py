"""Row versions as texts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.feature_store.version_texts import stored_versions, version_texts

INT64 = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(INT64, INT64), min_size=1))
def test_they_compare_as_the_versions_and_come_back(versions: list[tuple[int, int]]) -> None:
    """Every microsecond and every revision counts, where a script's own numbers would round."""
    ordered = sorted(versions)
    times_us, revisions = (np.array(column, np.int64) for column in zip(*ordered, strict=True))
    texts = version_texts(times_us, revisions).to_pylist()
    assert texts == sorted(texts)
    assert len(set(texts)) == len(set(versions))
    stored = stored_versions([(text, b"time") for text in texts])
    assert stored.is_there.all()
    assert list(zip(stored.event_times_us, stored.revisions, strict=True)) == ordered


def test_they_are_what_earlier_versions_have_written() -> None:
    """The digits are kept in Redis, so they stay as they are."""
    texts = version_texts(np.array([0, -1]), np.array([2**63 - 1, 5])).to_pylist()
    assert texts[0] == b"%020d%020d" % (2**63, 2**64 - 1)
    assert texts[1] == b"%020d%020d" % (2**63 - 1, 2**63 + 5)


def test_a_version_without_a_row_does_not_count() -> None:
    """Feast removed the row with its view, or never wrote one."""
    (text,) = version_texts(np.array([7]), np.array([3])).to_pylist()
    stored = stored_versions([(text, None), (None, None), (None, b"time"), (text, b"time")])
    assert stored.is_there.tolist() == [False, False, False, True]
    assert (stored.event_times_us[3], stored.revisions[3]) == (7, 3)
