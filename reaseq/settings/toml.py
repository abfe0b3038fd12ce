"""Settings as TOML: what `reaseq settings` prints, and `--config` reads back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tomli_w

from reaseq.settings.section import Section


def to_toml(settings: Section) -> str:
    """One table per section. A setting without a value, and a secret, is a comment."""
    return "\n".join(_tables((), settings.model_dump(mode="json")))


def _tables(path: tuple[str, ...], values: dict[str, Any]) -> Iterator[str]:
    """A table and the tables below it, each as a text of its own."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines = "".join(_line(name, value) for name, value in plain.items())
    if lines:
        yield _head(path) + lines
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _tables((*path, name), value)


def _head(path: tuple[str, ...]) -> str:
    """The `[a.b]` line of a table; none at the top."""
    nested: dict[str, Any] = {}
    for name in reversed(path):
        nested = {name: nested}
    return tomli_w.dumps(nested) if path else ""


def _line(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} is not set\n"
    if isinstance(value, str) and value and set(value) == {"*"}:
        return f"# {name} is set and secret\n"
    return tomli_w.dumps({name: value})
