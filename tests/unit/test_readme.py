"""The Python on the first screen of the README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.compute as pc
import pytest

import reaseq
from reaseq.datasets.online_retail import read_online_retail

README = Path(__file__).parents[2] / "README.md"


def first_python() -> str:
    """The first Python block."""
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block.group(1)


def test_the_first_python_of_the_readme_recommends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a few customers and their items, so that it is quick: five items with their reasons."""
    log = read_online_retail().of_users(10)
    events = log.events.slice(0, 400)
    bought = pc.is_in(log.items["item_id"], value_set=events["item_id"].unique())
    small = log._replace(events=events, items=log.items.filter(bought))
    monkeypatch.setattr(reaseq, "read_online_retail", lambda: small, raising=False)
    exec(compile(first_python().replace("of_users(200)", "of_users(3)"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    scores = [float(line.split()[1]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert any("bought_together" in line for line in lines)


def test_the_first_screen_shows_python_before_the_commands() -> None:
    """Ten lines of code, then the two commands."""
    text = README.read_text(encoding="utf-8")
    assert text.index("```python") < text.index("make demo") < 3000
    assert len([line for line in first_python().splitlines() if line.strip()]) <= 12


def test_every_public_name_is_there_and_others_are_refused() -> None:
    """`import reaseq` exports what its `__all__` lists."""
    for name in reaseq.__all__:
        assert getattr(reaseq, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = reaseq.nothing_such
