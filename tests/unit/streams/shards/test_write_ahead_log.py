"""An entry of the write-ahead log is whole, or was never written."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.shards.write_ahead_log import append_entry, recover_entries


def rows(*names: str) -> pa.Table:
    return pa.table({"user_id": pa.array(names, pa.string()), "times": [[1, 2]] * len(names)})


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    """Each with the rows and the schema it was given, also one without rows."""
    entries = [rows("ann"), rows(), rows("bob", "cid"), pa.table({"count": [1]})]
    for entry in entries:
        append_entry(tmp_path / "log", entry)
    assert recover_entries(tmp_path / "log") == entries
    assert recover_entries(tmp_path / "log") == entries


def test_no_file_is_no_entries(tmp_path: Path) -> None:
    """Most checkpoints are followed by no log at all."""
    assert recover_entries(tmp_path / "log") == []


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_torn_entry_is_forgotten_and_the_next_ones_are_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut at any byte: whole entries stay, the torn one goes, later ones follow, three times."""
    log = tmp_path_factory.mktemp("torn") / "log"
    expected = []
    for number in range(3):
        append_entry(log, rows(f"whole{number}"))
        expected.append(rows(f"whole{number}"))
        start = log.stat().st_size
        append_entry(log, rows(f"torn{number}"))
        os.truncate(log, data.draw(st.integers(start, log.stat().st_size - 1)))
        assert recover_entries(log) == expected
