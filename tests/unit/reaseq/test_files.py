"""`reaseq.files`: a file is the old one or the new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from reaseq.files import replacing, write_atomically


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """Nothing else stays in the folder."""
    file = tmp_path / "state.json"
    file.write_bytes(b"old")
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def cut_off_while_writing(file: Path) -> None:
    """Write a part of the new content, then fail."""
    with replacing(file) as new:
        new.write_bytes(b"ne")
        raise RuntimeError("cut off")


def test_an_error_on_the_way_leaves_the_old_content(tmp_path: Path) -> None:
    """Half a file is never seen under the name, nor left beside it."""
    file = tmp_path / "state.json"
    file.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="cut off"):
        cut_off_while_writing(file)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_while_it_is_written_readers_see_the_old_content(tmp_path: Path) -> None:
    """The name changes at the end."""
    file = tmp_path / "state.json"
    file.write_bytes(b"old")
    with replacing(file) as new:
        new.write_bytes(b"new")
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_has_the_mode_asked_for(tmp_path: Path, mode: int) -> None:
    """A secret is its owner's alone from the first moment."""
    file = tmp_path / "secret"
    write_atomically(file, b"x", mode)
    assert file.stat().st_mode & 0o777 == mode


def test_two_writers_do_not_share_their_new_file(tmp_path: Path) -> None:
    """The one that ends last wins whole."""
    file = tmp_path / "state"
    with replacing(file) as one, replacing(file) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert file.read_bytes() == b"one"
