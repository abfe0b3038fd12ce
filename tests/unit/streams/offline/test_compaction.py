"""Tables are compacted beside their writers, and trouble with one stops nobody."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from streams.offline import tables
from streams.offline.compaction import Compaction
from streams.offline.tables import Commit, OfflineTable
from tests.waiting import wait_until

SCHEMA = pa.schema([("number", pa.int64())])


def test_what_is_due_is_compacted_and_trouble_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """A table that cannot be read is named in a warning; the next one becomes one file."""
    monkeypatch.setattr(tables, "MAX_SMALL_FILES", 1)
    table = OfflineTable.create(tmp_path / "t", SCHEMA)
    for number in range(3):
        table.append(pa.table({"number": [number]}), Commit("a", number))
    with caplog.at_level(logging.WARNING):
        compaction = Compaction([OfflineTable(tmp_path / "gone"), table], interval_s=0.01)
        wait_until(lambda: table.num_files() == 1, 30)
        compaction.stop()
    assert str(tmp_path / "gone") in caplog.text
    assert table.num_rows() == 3


def test_a_stopped_one_does_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `stop` files stay as they are."""
    monkeypatch.setattr(tables, "MAX_SMALL_FILES", 1)
    table = OfflineTable.create(tmp_path / "t", SCHEMA)
    Compaction([table], interval_s=0.01).stop()
    for number in range(3):
        table.append(pa.table({"number": [number]}), Commit("a", number))
    assert table.num_files() == 3
