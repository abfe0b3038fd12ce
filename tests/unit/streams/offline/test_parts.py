"""Part files appear whole and replace themselves."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from streams.offline.parts import parts, write_part


def test_a_part_written_again_replaces_itself(tmp_path: Path) -> None:
    """A replayed write leaves one part with the newest content, and no unfinished file."""
    write_part(tmp_path, "a", pa.table({"x": [1]}))
    write_part(tmp_path, "a", pa.table({"x": [2]}))
    write_part(tmp_path, "b", pa.table({"x": [3]}))
    assert [part.read(["x"])["x"].to_pylist() for part in parts(tmp_path)] == [[2], [3]]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_part_replaced_under_a_reader_is_noticed(tmp_path: Path) -> None:
    """Row positions of the old part are never applied to the new one."""
    write_part(tmp_path, "a", pa.table({"x": [1]}))
    [listed] = parts(tmp_path)
    write_part(tmp_path, "a", pa.table({"x": [2]}))
    with pytest.raises(RuntimeError, match="read again"):
        listed.read(["x"])


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden"])
def test_a_part_name_is_a_plain_file_name(tmp_path: Path, name: str) -> None:
    """A name cannot leave the folder or hide in it."""
    with pytest.raises(ValueError, match="part name"):
        write_part(tmp_path, name, pa.table({"x": [1]}))


def test_a_missing_folder_has_no_parts(tmp_path: Path) -> None:
    """Nothing was written yet: that is no error."""
    assert parts(tmp_path / "none") == []
