"""Text in any encoding that spreadsheets write arrives as UTF-8."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reaseq.datasets import encoding
from reaseq.datasets.encoding import as_utf8

WORDS = "Tasse groß – blau, café\n"


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (WORDS.encode("cp1252"), "cp1252", WORDS),
        (WORDS.encode("utf-16"), "utf-16", WORDS),
        ("caf\xe9 \x81\n".encode("latin-1"), "latin-1", "café \x81\n"),
        (
            b"caf\xc3\xa9 t\xc3\xaate br\xc3\xbbl\xc3\xa9e \xf0\n",
            "utf-8",
            "café tête brûlée \ufffd\n",
        ),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_encodings_are_rewritten(
    tmp_path: Path, content: bytes, name: str, text: str, pack: object
) -> None:
    """Packed or not; a single damaged character does not turn UTF-8 into something else."""
    assert callable(pack)
    file = tmp_path / "export.csv"
    file.write_bytes(pack(content))
    copy, found = as_utf8(file, tmp_path)
    assert (found, copy.read_text("utf-8"), copy.name) == (name, text, "export.csv")
    assert file.read_bytes() == pack(content)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_utf8_is_left_alone(tmp_path: Path, text: str) -> None:
    """No copy is made of what needs none."""
    file = tmp_path / "fine.csv"
    file.write_text(text, "utf-8")
    assert as_utf8(file, tmp_path) == (file, None)


def test_a_character_may_lie_across_two_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a byte at a time finds the same encoding and the same text."""
    monkeypatch.setattr(encoding, "PIECE", 1)
    file = tmp_path / "fine.csv"
    file.write_text(WORDS, "utf-8")
    assert as_utf8(file, tmp_path) == (file, None)
    file.write_text(WORDS, "utf-16")
    assert as_utf8(file, tmp_path)[0].read_text("utf-8") == WORDS
