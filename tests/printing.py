"""A console that keeps what is printed."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console


def keeping_console(width: int = 200, **options: Any) -> Console:
    """A console of a width at which nothing breaks, unless another is asked for."""
    return Console(file=StringIO(), width=width, **options)


def printed(console: Console) -> str:
    """All that was printed on it."""
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
